"""Our codec beside SpectroStream on JAX: sound of the same codes to 1e-4, whole and streaming; codes of the same sound.

    python -m benchmarks.magenta_rt2.codec_parity FOLDER [--keep]

FOLDER is what ``benchmarks.magenta_rt2.codec_oracle`` wrote. ``--keep`` adds the figures to
``parity.json`` beside this file. Exits 1 where the two differ.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks import machine
from benchmarks.kept import keep
from benchmarks.magenta_rt2.opening import opened
from brain2music import Bundle, _core
from brain2music.bundles import write
from brain2music.exporters.magenta_rt2.checkpoint import read_part, table_of
from brain2music.exporters.magenta_rt2.codec_weights import codec
from brain2music.exporters.magenta_rt2.roles import codec_role
from brain2music.generation import Codec

KEPT = Path(__file__).with_name("parity.json")
TOLERANCE = 1e-4

#: What the library calls.
METHODS = ["embed", "encode", "decode", "init_stream", "decode_next"]


def read_codec(folder, full):
    """The parts of the codec, read as the exporter reads a checkpoint."""
    parts = []
    for part, file in (("soundstream", "checkpoint"), ("encoder", "encoder")):
        path = folder / f"{file}.safetensors"
        made = {name: tuple(tensor.shape) for name, tensor in _core.io.load_safetensors(path)[0].items()}
        parts.append(read_part(path, part, table_of(part) if full else made))
    return parts


def streamed(script, codes, piece):
    """Sound of codes (1, levels, frames), ``piece`` frames a call."""
    state = script.init_stream(codes.size(0))
    return torch.cat([script.decode_next(some, state) for some in codes.split(piece, 2)], 2)


def largest(ours, theirs):
    return float(f"{(ours - theirs).abs().max():.3g}")


def compare(script, oracle):
    """Largest differences to JAX, and how many codes are others."""
    codes = oracle["codes"].long().t()[None]
    decoded, heard = oracle["decoded"].t()[None], oracle["streamed"].t()[None]
    whole = script.decode(codes)
    ours = streamed(script, codes, 1)
    hop = heard.size(2) // codes.size(2)
    figures = {
        "whole": largest(whole[:, :, : decoded.size(2)], decoded),
        "frame by frame": largest(ours, heard),
        "seven frames a call": largest(streamed(script, codes, 7), heard),
        "streaming beside whole": largest(ours[:, :, hop:], whole[:, :, : decoded.size(2)]),
        "largest_sample": round(float(decoded.abs().max()), 2),
    }
    wave, embeddings = oracle["wave"].t()[None], oracle["embeddings"]
    figures["embeddings"] = largest(script.embed(wave)[0], embeddings)
    figures["largest_embedding"] = round(float(embeddings.abs().max()), 2)
    encoded = script.encode(wave)[0].t()
    other = encoded != oracle["encoded"][:, : encoded.size(1)]
    figures["codes"], figures["other_codes"] = other.numel(), int(other.sum())
    return figures


def in_the_library(parts, oracle):
    """Largest difference of sound that a bundle's codec decodes, in C++; and how many of its codes are others."""
    with tempfile.TemporaryDirectory() as folder:
        path = write(
            f"{folder}/bundle", name="SpectroStream", description="Parity.", roles={"codec": codec_role(*parts)}
        )
        opened = Codec(Bundle(path))
        decoded = oracle["decoded"].t()[None]
        sound = opened.decode(oracle["codes"].long().t()[None])[:, :, : decoded.size(2)]
        codes = opened.encode(oracle["wave"].t()[None], opened.rate)[0].t()
        return largest(sound, decoded), int((codes != oracle["encoded"][:, : codes.size(1)]).sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    oracle, said = _core.io.load_safetensors(options.folder / "oracle.safetensors")
    parts = read_codec(options.folder, said["size"] == "full")
    network = codec(*parts)
    with torch.inference_mode():
        figures = compare(opened(network, METHODS), oracle)
        figures["in a bundle"], figures["other_codes in a bundle"] = in_the_library(parts, oracle)
    about = {**machine.describe([]), **{name: said[name] for name in ("magenta-rt", "jax")}}
    about |= {"weights": sum(weight.numel() for weight in network.parameters()), "frames": len(oracle["codes"])}
    about |= {"tolerance": TOLERANCE, "dtype": "float32", "seed": 0}
    result = {**about, "parity": figures}
    print(json.dumps(result, indent=2))
    if options.keep:
        keep(KEPT, f"codec, {said['size']}", result)
    kinds = ("whole", "frame by frame", "seven frames a call", "streaming beside whole", "in a bundle", "embeddings")
    return int(any(figures[kind] > TOLERANCE for kind in kinds))


if __name__ == "__main__":
    sys.exit(main())
