"""The main job, step by step: embed, decode, retrieve, evaluate, report; what is finished is not done again."""

from pathlib import Path

from brain2music.pipeline.context import Context
from brain2music.pipeline.decoding import Decoded, average, decode
from brain2music.pipeline.embedding import embed
from brain2music.pipeline.evaluating import evaluate
from brain2music.pipeline.reporting import report
from brain2music.pipeline.retrieval import Retrieved, library, retrieve
from brain2music.pipeline.runs import say_runs
from brain2music.pipeline.settings import Settings

__all__ = [
    "Context",
    "Decoded",
    "Retrieved",
    "Settings",
    "average",
    "decode",
    "do",
    "embed",
    "evaluate",
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
    step : "embed", "decode", "retrieve", "evaluate" or "report"

    Returns
    -------
    pathlib.Path
        Where its outputs are: a folder, a table or the report.
    """
    context.write_config()
    if step == "embed":
        for role in context.settings.embeddings:
            embed(context, role)
    elif step == "decode":
        for role in context.settings.embeddings:
            for subject in context.subjects:
                decode(context, subject, role)
    elif step == "retrieve":
        for subject in context.subjects:
            retrieve(context, subject)
    elif step == "evaluate":
        return evaluate(context)[1]
    elif step == "report":
        return report(context)
    else:
        raise ValueError(f"[pipeline.do] step must be embed, decode, retrieve, evaluate or report; got {step!r}")
    return context.out / step
