"""Models of SentencePiece give the ids of SentencePiece itself. Oracle: sentencepiece 0.2.3."""

import json
import random
import unicodedata

import pytest
import sentencepiece
from made_pieces import WORDS, trained
from tokenizers import Tokenizer

from brain2music.exporters.sentence_piece import tokenizer_definition

BEGIN, LENGTH = 1, 64
ODD = [
    "",
    " ",
    "   a  slow   blues ",
    "a\tslow\nblues\r\n",
    "<s> </s> <unk> <pad>",
    "\u2581slow\u2581\u2581blues",
    "ﬁne ① \uff4a\uff41\uff5a\uff5a ½ ™",
    "cafe\u0301 u\u0308ber e\u0301\u0302",
    unicodedata.normalize("NFD", "Tiếng Việt rất đẹp, 각 음악, Žižek"),
    "日本の音楽 가사 музыка",
    "a\u00a0b\u3000c\u200bd\u00ade",
    "Slow BLUES İstanbul ΣΑΣ",
    "x" * 50,
]


def texts():
    draw = random.Random(1)
    odd = "\u0301\u0302\u0308\u200b\u00a0\t\r\n각가日①\uff4a\uff5eéǖ<>"
    mixed = ["".join(draw.choices(WORDS[0] + "aeou " + odd, k=draw.randint(1, 20))) for _ in range(300)]
    letters = "abcdefghijklmnopqrstuvwxyz    .,'éüß½ﬁ1980-"
    made = ["".join(draw.choices(letters, k=draw.randint(1, 40))) for _ in range(300)]
    return [*ODD, *(" ".join(draw.choices(WORDS, k=8)) for _ in range(100)), *made, *mixed]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"model_type": "bpe"},
        {"byte_fallback": True, "vocab_size": 400},
        {"model_type": "bpe", "byte_fallback": True, "vocab_size": 400},
        {"normalization_rule_name": "identity"},
        {"normalization_rule_name": "nfkc_cf", "add_dummy_prefix": False},
        {"remove_extra_whitespaces": False, "pad_id": 3, "control_symbols": ["<music>"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("lower", [False, True])
def test_ids_are_those_of_sentencepiece(tmp_path, options, lower):
    path = trained(tmp_path / "spm.model", **options)
    definition = tokenizer_definition(path, begin=BEGIN, length=LENGTH, lower=lower)
    ours = Tokenizer.from_str(json.dumps(definition))
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(path))
    for text in texts():
        expected = [BEGIN, *theirs.encode(text.lower() if lower else text)]
        found = ours.encode(text)
        assert [i for i, kept in zip(found.ids, found.attention_mask, strict=True) if kept] == expected, text
        assert len(found.ids) == max(LENGTH, len(expected))
        assert set(found.ids[len(expected) :]) <= {0}


def test_what_is_no_such_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a model of SentencePiece must be there; got no file .*none"):
        tokenizer_definition(tmp_path / "none", begin=1, length=8)
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ValueError, match=r"must have one unknown piece; got 0 in .*empty"):
        tokenizer_definition(tmp_path / "empty", begin=1, length=8)
    words = trained(tmp_path / "word", model_type="word")
    with pytest.raises(ValueError, match=r"must be of type 1 \(unigram\) or 2 \(bpe\); got 3 in .*word"):
        tokenizer_definition(words, begin=1, length=8)
    own = trained(tmp_path / "own", user_defined_symbols=["<music>"])
    with pytest.raises(ValueError, match="got 1 pieces that a user defined"):
        tokenizer_definition(own, begin=1, length=8)
    with pytest.raises(ValueError, match="begin must be an id below 160; got 160"):
        tokenizer_definition(trained(tmp_path / "good"), begin=160, length=8)
