"""Models of SentencePiece as a ``tokenizer.json`` of Hugging Face's tokenizers."""

import base64
import os
import struct
from pathlib import Path
from typing import Any

from brain2music.exporters.protocol_buffer import Message

__all__ = ["tokenizer_definition"]

_WHERE = "exporters.sentence_piece"
#: Numbers of fields and values in SentencePiece's ``sentencepiece_model.proto``.
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_UNIGRAM, _BPE = 1, 2
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
_SPACE = "\u2581"


def tokenizer_definition(
    path: str | os.PathLike[str], *, begin: int, length: int, lower: bool = False
) -> dict[str, Any]:
    """Return what ``tokenizer.json`` says of a model: the same ids as SentencePiece's ``EncodeAsIds``.

    Parameters
    ----------
    path : path
        The ``.model`` file, of the type "unigram" or "bpe".
    begin : int
        Id of the token that goes before every text.
    length : int
        Tokens that texts are padded to with the id 0, ``begin`` included.
    lower : bool, default False
        If True, texts are put in lower case first.

    Returns
    -------
    dict

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no model of SentencePiece, or one of another type, or has pieces that its user defined.

    Notes
    -----
    Fields are those of SentencePiece's ``sentencepiece_model.proto``. A text is one sequence of pieces, as in
    SentencePiece: nothing splits it at spaces first. Rules of the NFKC kind are NFKC here and then the model's own,
    because tokenizers 0.23.3 drops a mark behind a character that the model's rules replace (huggingface/tokenizers,
    issues 2116 and 2334). Two kinds of texts still get other ids: those with several marks on one letter in another
    order than Unicode's own, and, where the model falls back to bytes, those that spell the name of a byte
    (``<0x41>``).
    """
    model = Message(_read(Path(path)))
    trainer, normalizer = (Message(model.last_blob(field)) for field in (_TRAINER, _NORMALIZER))
    pieces = model.messages(_PIECES)
    texts = [piece.last_text(1) for piece in pieces]
    scores = [_score(piece) for piece in pieces]
    kinds = [piece.last_int(3, _NORMAL) for piece in pieces]
    _check(Path(path), trainer, kinds, begin)
    made = trainer.last_int(3, _UNIGRAM)
    falls_back = bool(trainer.last_int(35))
    # A text cannot become these pieces. Their names get a space, which no text has when pieces are looked up.
    hidden = (_UNKNOWN, _CONTROL, _UNUSED)
    names = [f"{text} {i}" if kinds[i] in hidden else text for i, text in enumerate(texts)]
    unknown = kinds.index(_UNKNOWN)
    network = (
        {"type": "Unigram", "unk_id": unknown, "vocab": list(zip(names, scores, strict=True))}
        if made == _UNIGRAM
        else {
            "type": "BPE",
            "unk_token": names[unknown],
            "fuse_unk": True,
            "vocab": {name: i for i, name in enumerate(names)},
            "merges": _merges(names, scores, kinds),
        }
    )
    return {
        "version": "1.0",
        "truncation": None,
        "padding": {
            "strategy": {"Fixed": length},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": names[0],
        },
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": _normalizers(normalizer, lower)},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": names[begin], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {names[begin]: {"id": names[begin], "ids": [begin], "tokens": [names[begin]]}},
        },
        "decoder": None,
        "model": {**network, "byte_fallback": falls_back},
    }


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"[{_WHERE}] a model of SentencePiece must be there; got no file {path}")
    return path.read_bytes()


def _score(piece: Message) -> float:
    (number,) = piece.ints(2) or [0]
    return float(struct.unpack("<f", struct.pack("<I", number & 0xFFFFFFFF))[0])


def _check(path: Path, trainer: Message, kinds: list[int], begin: int) -> None:
    """Refuse what the definition would not say truly."""
    if kinds.count(_UNKNOWN) != 1:
        raise ValueError(
            f"[{_WHERE}] a model of SentencePiece must have one unknown piece; got {kinds.count(_UNKNOWN)} in {path}"
        )
    made = trainer.last_int(3, _UNIGRAM)
    if made not in (_UNIGRAM, _BPE):
        raise ValueError(f"[{_WHERE}] the model must be of type 1 (unigram) or 2 (bpe); got {made} in {path}")
    if _USER_DEFINED in kinds or trainer.last_int(24):
        raise ValueError(
            f"[{_WHERE}] pieces must be learned, and spaces must come before words; got "
            f"{kinds.count(_USER_DEFINED)} pieces that a user defined, treat_whitespace_as_suffix "
            f"{trainer.last_int(24)} in {path}"
        )
    if not 0 <= begin < len(kinds):
        raise ValueError(f"[{_WHERE}] begin must be an id below {len(kinds)}; got {begin} with {path}")


def _normalizers(normalizer: Message, lower: bool) -> list[dict[str, Any]]:
    """Return the steps from a text to what pieces are looked up in."""
    # Lowercase goes letter by letter, and so it does not know where a Greek word ends.
    sigma = _replace("(?<=\\p{L})\u03a3(?!\\p{L})", "\u03c2")
    steps: list[dict[str, Any]] = [sigma, {"type": "Lowercase"}] if lower else []
    if charsmap := normalizer.last_blob(2):
        if "nfkc" in normalizer.last_text(1):
            # Precompiled loses what stands behind a character that it replaces: so it is given none to lose.
            steps += [_replace("\r\n", "\n\n"), *_nfkc()]
        steps.append({"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()})
    if normalizer.last_int(4, 1):
        steps += [_replace(r"\A +| +\z", ""), _replace(" {2,}", " ")]
    if normalizer.last_int(3, 1):
        steps.append({"type": "Prepend", "prepend": " "})
    if normalizer.last_int(5, 1):
        steps.append(_replace(" ", _SPACE))
    return steps


def _nfkc() -> list[dict[str, Any]]:
    """Return NFKC but for the full-width tilde, which SentencePiece keeps, under another name meanwhile."""
    tilde, meanwhile = "\uff5e", "\ue000"
    return [_replace(tilde, meanwhile), {"type": "NFKC"}, _replace(meanwhile, tilde)]


def _replace(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def _merges(names: list[str], scores: list[float], kinds: list[int]) -> list[tuple[str, str]]:
    """Return which pairs of pieces make another one, best first."""
    known = {name: i for i, (name, kind) in enumerate(zip(names, kinds, strict=True)) if kind == _NORMAL}
    found = []
    for name, i in known.items():
        for cut in range(1, len(name)):
            left, right = known.get(name[:cut]), known.get(name[cut:])
            if left is not None and right is not None:
                found.append((-scores[i], left, right))
    return [(names[left], names[right]) for _, left, right in sorted(found)]
