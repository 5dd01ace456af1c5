"""Our language model beside magenta-rt's: logits of the same weights, to 1e-4, and the same choices.

    python -m benchmarks.magenta_rt2.parity FOLDER [--keep]

FOLDER is what ``benchmarks.magenta_rt2.oracle`` wrote. The weights are read as the exporter reads a checkpoint, and run
in Python, and in C++ out of a bundle: opened, tried, frozen, its products replaced, one frame a call. What bfloat16
costs stands beside it. ``--keep`` adds the figures to ``parity.json`` beside this file. Exits 1 where the two differ.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch

from benchmarks import machine
from benchmarks.kept import keep
from benchmarks.magenta_rt2.opening import opened
from brain2music import _core
from brain2music.bundles import write
from brain2music.exporters.magenta_rt2.checkpoint import read_part, table_of
from brain2music.exporters.magenta_rt2.conditioner import CODEBOOKS
from brain2music.exporters.magenta_rt2.language_model import language_model
from brain2music.exporters.magenta_rt2.roles import conditioner_role
from brain2music.exporters.magenta_rt2.roles import stage as stage_entry
from brain2music.exporters.script import scripted

KEPT = Path(__file__).with_name("parity.json")
#: What logits may differ by, and by what the two best must differ for the choice to be the same.
TOLERANCE, CLEAR = 1e-4, 1e-3

#: What the library calls.
METHODS = ["init_state", "source", "temporal", "depth_first", "depth_next"]


def frame_by_frame(script, codes, given):
    """Logits (T, levels, codes) of frames whose codes are given."""
    state = script.init_state(1, len(codes), None)
    previous, logits = torch.full((1, given.size(1)), -1), []
    for frame, (channels, levels) in enumerate(zip(codes, given, strict=True)):
        position = torch.tensor(frame)
        script.source(channels[None], position, state)
        out = [script.depth_first(script.temporal(previous, position, state), state)]
        for level in range(1, given.size(1)):
            out.append(script.depth_next(levels[None, level - 1], level, state))
        logits.append(torch.cat(out))
        previous = levels[None]
    return torch.stack(logits)


def in_pieces(stage, codes, given, piece):
    """The same logits, ``piece`` frames a call of the temporal network and all frames a call of the depth network."""
    state = stage.init_state(1, len(codes), None)
    source = stage.source_network(codes[None])
    previous = torch.cat([torch.full((1, given.size(1)), -1), given[:-1]])[None]
    h = torch.cat(
        [
            stage.extend(previous[:, at : at + piece], source[:, at : at + piece], torch.tensor(at), state)
            for at in range(0, len(codes), piece)
        ],
        1,
    )[0]
    levels = [torch.empty(0)] * stage.depth_first_tensor + stage.depth_network.init_state(len(codes))
    out = [stage.depth_first(h, levels)]
    for level in range(1, given.size(1)):
        out.append(stage.depth_next(given[:, level - 1], level, levels))
    return torch.stack(out, 1)


def in_the_library(stage, tensors, codes, given, dtype=None):
    """The same logits, run in C++ out of a bundle."""
    checkpoint = SimpleNamespace(size="small", model=tensors)
    entry = {**stage_entry(checkpoint), "module": scripted(stage)}
    del entry["codec_levels"]  # there is no codec here
    with tempfile.TemporaryDirectory() as folder:
        path = write(
            f"{folder}/bundle",
            name="Magenta RealTime 2",
            description="Parity.",
            roles={"conditioner": conditioner_role(tensors, "small")},
            stages=[entry],
            space={"dimension": tensors[CODEBOOKS].size(1), "roles": []},
        )
        bundle = _core.models.Bundle(path)
        arguments = (codes.t()[None], given.t()[None], torch.device("cpu"), dtype)
        return _core.models.frame_logits(bundle, "music", *arguments)[0]


def compare(ours, theirs):
    """The largest difference, and choices that differ although the two best logits are far apart."""
    best = theirs.topk(2, -1)
    clear = best.values[..., 0] - best.values[..., 1] > CLEAR
    other = (ours.argmax(-1) != best.indices[..., 0]) & clear
    return {
        "largest_difference": float(f"{(ours - theirs).abs().max():.3g}"),
        "largest_logit": round(float(theirs.abs().max()), 1),
        "choices": int(clear.sum()),
        "other_choices": int(other.sum()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    oracle, said = _core.io.load_safetensors(options.folder / "oracle.safetensors")
    path = options.folder / "checkpoint.safetensors"
    size = said["size"]
    made = {name: tuple(tensor.shape) for name, tensor in _core.io.load_safetensors(path)[0].items()}
    tensors = read_part(path, "small", table_of("small") if size == "small" else made)
    stage = language_model(tensors, int(said["past"]) + 1)
    weights = sum(tensor.numel() for tensor in tensors.values())
    codes, target, drawn = (oracle[name].long() for name in ("codes", "target", "drawn"))
    given, alone = codes[: len(target)], codes[: len(drawn)]
    with torch.inference_mode():
        figures = {}
        for piece in (len(target), 2 * stage.temporal_network.layers[0].attention.window + 3):
            figures[f"{piece} frames a call"] = compare(in_pieces(stage, given, target, piece), oracle["logits"])
        script = opened(stage, METHODS)
        figures["one frame a call, scripted"] = compare(frame_by_frame(script, given, target), oracle["logits"])
        figures["codes that JAX drew"] = compare(frame_by_frame(script, alone, drawn), oracle["drawn_logits"])
        del script
        logits = in_the_library(stage, tensors, given, target)
        figures["in a bundle, in C++"] = compare(logits, oracle["logits"])
        narrow = compare(in_the_library(stage, tensors, given, target, torch.bfloat16), oracle["logits"])
    rivals = {name: said[name] for name in ("magenta-rt", "jax")}
    about = {**machine.describe([]), **rivals, "weights": weights, "frames": len(target), "drawn_frames": len(drawn)}
    about |= {"window": int(said["past"]) + 1, "tolerance": TOLERANCE, "dtype": "float32", "seed": 0}
    result = {**about, "parity": figures, "in a bundle, in C++, bfloat16": narrow}
    print(json.dumps(result, indent=2))
    if options.keep:
        keep(KEPT, f"language model, {size}", result)
    good = all(row["largest_difference"] <= TOLERANCE and not row["other_choices"] for row in figures.values())
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
