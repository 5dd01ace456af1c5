"""Compares ways to draw the codec's codes: ``python examples/train_bundle/sampling.py WORK``.

Music is generated from the true embeddings of four training clips of each genre of the study of ``goals.json``; no test
clip is looked at. The judge of genre is the nearest class mean of the acoustic statistics, over the other training
clips. The recipe, and the bundle, take what is best here.
"""

import argparse
import itertools
import json
import sys
from pathlib import Path

import numpy as np
from material import Material

import brain2music as b2m
from brain2music import metrics
from brain2music.pipeline import embed

GOALS = json.loads((Path(__file__).parent / "goals.json").read_text(encoding="utf-8"))
CLIPS = 4


def main() -> int:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("work", type=Path, metavar="WORK", help="folder of the study of measure.py")
    parser.add_argument("--temperature", type=float, nargs="+", default=[0.4, 0.8, 1.0], help="of the acoustic stage")
    parser.add_argument("--top-k", type=int, nargs="+", default=[50, 0], help="codes to draw among; 0 is all")
    options = parser.parse_args()
    material = Material(options.work, None, None, GOALS, 2)
    train = np.array(material.split[0])
    genre = np.array([material.genres[name] for name in train])
    random, kinds = np.random.default_rng(0), np.unique(genre)
    chosen = np.concatenate([random.permutation(train[genre == kind])[:CLIPS] for kind in kinds])
    others = ~np.isin(train, chosen)
    values = material.embed(material.acoustic, {name: material.clips[name] for name in train})
    means = np.stack([values[others & (genre == kind)].mean(axis=0) for kind in kinds])
    wanted = np.array([material.genres[name] for name in chosen])

    def right(sounds: dict[str, tuple[np.ndarray, int]]) -> float:
        found = material.embed(material.acoustic, sounds)[:, None] - means
        return float(np.mean(kinds[(found**2).sum(axis=2).argmin(axis=1)] == wanted))

    print("temperature top_k genre identified")
    print(f"as heard          {right({name: material.clips[name] for name in chosen}):.3f}")
    print(f"through the codec {right(material.through_codec(list(chosen))):.3f}", flush=True)
    true = embed(material.context, "music_embedder")[0][chosen].values.mean(axis=1)
    generator = b2m.MusicGenerator(material.bundle)
    for temperature, top_k in itertools.product(options.temperature, options.top_k):
        audio = generator.generate(
            true, seconds=15.0, seed=7, temperature={"acoustic": temperature}, top_k={"acoustic": top_k}
        )
        made = np.clip(audio.waveform[:, 0, 0], -1, 1)
        sounds = {name: (wave, audio.rate) for name, wave in zip(chosen, made, strict=True)}
        again = material.embed(material.bundle, sounds)
        identified = float(metrics.identification_accuracy(again, true).mean)
        print(f"{temperature:11.2f} {top_k:5} {right(sounds):.3f} {identified:.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
