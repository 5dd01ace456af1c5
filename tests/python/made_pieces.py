"""Small models of SentencePiece, trained on texts about music."""

import io
import random

import sentencepiece

TEXT = """
slow fast calm loud blues jazz rock piano guitar drums bass violin café naïve 80s 1990's with and a the minor major key
of in singing voice synthesizer, energetic; upbeat! sad? (live) hip-hop r&b lo-fi über straße señor
"""
WORDS = TEXT.split()


def trained(path, **options):
    """Train a model, write it, and return where it lies."""
    draw = random.Random(0)
    syllables = [a + b + c for a in "bdgklmnprst" for b in "aeiou" for c in ("", "n", "r", "s")]
    words = WORDS + ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(400)]
    sentences = [" ".join(draw.choices(words, k=draw.randint(1, 12))) for _ in range(2000)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=model, minloglevel=2, **{"vocab_size": 160, **options}
    )
    path.write_bytes(model.getvalue())
    return path
