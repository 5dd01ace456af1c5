"""Texts into tokens: Hugging Face's tokenizers, as a ``tokenizer.json`` declares them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["tokenizer"]

_WHERE = "bundles.Bundle.embed"

_Ids = npt.NDArray[np.int64]


def tokenizer(definition: bytes, max_length: int | None, file: Path) -> Callable[[list[str]], tuple[_Ids, _Ids]]:
    """Make a function from texts to ids and attention masks, (n, T) each.

    The truncation and padding that the definition declares hold: side, stride, strategy, length. Where it declares no
    truncation, no text is cut: one of more than ``max_length`` tokens is refused. Where it declares no padding, texts
    are padded on the right to the longest of a batch. The extension has checked that the definition and ``max_length``
    go together.

    Parameters
    ----------
    definition : bytes
        A ``tokenizer.json``.
    max_length : int or None
        Tokens of a text, at most, special ones included.
    file : path
        Where the definition lies, for messages.

    Raises
    ------
    ImportError
        If ``tokenizers`` is not installed.
    RuntimeError
        If the definition cannot be read, or cannot split the texts.
    ValueError
        From the function: if a text has more than ``max_length`` tokens, or more than the fixed length that the
        definition pads to, and the definition does not cut it.
    """
    try:
        from tokenizers import Tokenizer  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise ImportError(
            f"[{_WHERE}] this role's texts are split by Hugging Face's tokenizers: 'pip install tokenizers'; got "
            f"'{error}'"
        ) from error
    try:
        split: Any = Tokenizer.from_buffer(definition)
    except Exception as error:  # tokenizers raises nothing narrower
        raise RuntimeError(f"[{_WHERE}] tokenizers must be able to read the definition; got '{error}' in {file}") from (
            error
        )
    if split.padding is None:
        split.enable_padding()
    most = max_length if split.truncation is None else None
    fixed = split.padding["length"]
    step = split.padding["pad_to_multiple_of"] or 1
    length = None if fixed is None else -(-fixed // step) * step

    def tokenize(texts: list[str]) -> tuple[_Ids, _Ids]:
        try:
            encoded = split.encode_batch(texts)
        except Exception as error:
            raise RuntimeError(f"[{_WHERE}] the tokenizer must split every text; got '{error}' with {file}") from error
        for text, each in zip(texts, encoded, strict=True):
            count = sum(each.attention_mask)
            if most is not None and count > most:
                raise ValueError(
                    f"[{_WHERE}] a text must have at most {most} tokens (max_length); got {count} for {text!r}: "
                    f"shorten it, or declare 'truncation' in {file}"
                )
        long = next((i for i, each in enumerate(encoded) if length is not None and len(each.ids) > length), None)
        if long is not None:
            raise ValueError(
                f"[{_WHERE}] a text must fit the {length} tokens that {file} pads it to; got {len(encoded[long].ids)} "
                f"for {texts[long]!r}: shorten it, or declare 'truncation' there"
            )
        ids = np.array([each.ids for each in encoded], dtype=np.int64)
        return ids, np.array([each.attention_mask for each in encoded], dtype=np.int64)

    return tokenize
