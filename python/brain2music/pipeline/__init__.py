"""The main job: embed, decode, retrieve, generate, evaluate, report. A step that is finished is not done again."""

from pathlib import Path

from brain2music.pipeline.checking import Check, check
from brain2music.pipeline.context import Context
from brain2music.pipeline.decoding import Decoded, average, decode
from brain2music.pipeline.embedding import embed
from brain2music.pipeline.encoding import Encoded, encode, encode_all, features_of
from brain2music.pipeline.evaluating import evaluate
from brain2music.pipeline.generation import Generated, generate, generate_oracle
from brain2music.pipeline.reporting import report
from brain2music.pipeline.retrieval import Retrieved, library, retrieve
from brain2music.pipeline.runs import say_runs
from brain2music.pipeline.settings import Settings

__all__ = [
    "Check",
    "Context",
    "Decoded",
    "Encoded",
    "Generated",
    "Retrieved",
    "Settings",
    "average",
    "check",
    "decode",
    "do",
    "embed",
    "encode",
    "encode_all",
    "evaluate",
    "features_of",
    "generate",
    "generate_oracle",
    "library",
    "report",
    "retrieve",
    "say_runs",
]


def do(context: Context, step: str) -> Path:
    """Do a step, and those before it that are not done.

    Parameters
    ----------
    context : Context
    step : "embed", "decode", "encode", "retrieve", "generate", "evaluate" or "report"

    Returns
    -------
    pathlib.Path
        Where its outputs are: a folder, a table or the report.
    """
    if context.settings.embeddings_file is not None:
        _ = context.own  # what is wrong with it must not stay in the settings
    context.write_config()
    if step == "embed":
        for role in context.embeddings:
            embed(context, role)
    elif step == "decode":
        for role in context.embeddings:
            for subject in context.subjects:
                decode(context, subject, role)
    elif step == "encode":
        return encode_all(context)[1]
    elif step == "retrieve":
        for subject in context.subjects:
            retrieve(context, subject)
    elif step == "generate":
        if not context.generates:
            raise ValueError(
                "[pipeline.do] generate takes a bundle that makes music from the first of embeddings, "
                f"{context.embeddings[0]}, and generation in the settings; got {context.bundle}"
            )
        generate_oracle(context)
        for way in context.settings.conditioning:
            for subject in context.subjects:
                generate(context, subject, way)
    elif step == "evaluate":
        return evaluate(context)[1]
    elif step == "report":
        return report(context)
    else:
        raise ValueError(
            f"[pipeline.do] step must be embed, decode, encode, retrieve, generate, evaluate or report; got {step!r}"
        )
    return context.out / step
