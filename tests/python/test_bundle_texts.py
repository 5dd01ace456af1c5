"""Texts into tokens, beside what tokenizers itself makes of them; and lengths that do not go together."""

import json
import warnings

import numpy as np
import pytest
import torch

from brain2music.bundles import Bundle, describe, write

tokenizers = pytest.importorskip("tokenizers")

from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: E402

CARD = {"name": "tiny", "source": "this test", "licence": "Apache-2.0", "replaces": "nothing"}
TEXTS = ["a b c d e f g", "b", "c a", "g f e d c b a g f e d"]
VOCABULARY = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *"abcdefg"]


class Weighted(torch.nn.Module):
    """Sums that tell each token, its place and the mask apart."""

    @torch.jit.export
    def embed_ids(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        places = torch.arange(1, ids.size(1) + 1)
        return torch.stack([(ids * places).sum(1).float(), (mask * places).sum(1).float()], 1)


def expected(encoded):
    places = np.arange(1, len(encoded[0].ids) + 1)
    return np.array(
        [[np.dot(each.ids, places), np.dot(each.attention_mask, places)] for each in encoded], dtype=np.float32
    )


def model(kind):
    ids = {token: i for i, token in enumerate(VOCABULARY)}
    return {
        "WordLevel": lambda: models.WordLevel(ids, unk_token="[UNK]"),
        "WordPiece": lambda: models.WordPiece(ids, unk_token="[UNK]"),
        "BPE": lambda: models.BPE(ids, [], unk_token="[UNK]"),
        "Unigram": lambda: models.Unigram([(token, -1.0) for token in VOCABULARY], unk_id=3),
    }[kind]()


TEMPLATE = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
BYTES = processors.ByteLevel(trim_offsets=False)
POST = {
    "none": (None, 0),
    "bytes": (BYTES, 0),
    "template": (TEMPLATE, 2),
    "bert": (processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1)), 2),
    "roberta": (processors.RobertaProcessing(("[SEP]", 2), ("[CLS]", 1)), 2),
    "sequence": (processors.Sequence([BYTES, TEMPLATE]), 2),
    "two of one": (
        processors.TemplateProcessing(
            single="[X] $A [SEP]",
            special_tokens=[
                {"id": "[X]", "ids": [1, 1], "tokens": ["[CLS]", "[CLS]"]},
                {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]},
            ],
        ),
        3,
    ),
}


def made(kind="WordPiece", post="template", **declared):
    tokenizer = Tokenizer(model(kind))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if POST[post][0] is not None:
        tokenizer.post_processor = POST[post][0]
    definition = json.loads(tokenizer.to_str())
    return definition | declared


def bundle_of(folder, definition, max_length=None):
    (folder / "tokenizer.json").write_text(json.dumps(definition))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.script(Weighted().eval())
    role = {
        "module": module,
        "methods": ["embed_ids"],
        "tokenizer": folder / "tokenizer.json",
        "window": 15.0,
        "dimension": 2,
        "card": CARD,
    }
    if max_length is not None:
        role["max_length"] = max_length
    return write(folder / "bundle", name="tiny", description="For tests.", roles={"text_embedder": role})


def cut(max_length, direction="Right", stride=0, strategy="LongestFirst"):
    return {"direction": direction, "max_length": max_length, "strategy": strategy, "stride": stride}


def padded(strategy="BatchLongest", direction="Right", multiple=None, pad_id=0):
    return {
        "strategy": strategy,
        "direction": direction,
        "pad_to_multiple_of": multiple,
        "pad_id": pad_id,
        "pad_type_id": 0,
        "pad_token": VOCABULARY[pad_id],
    }


@pytest.mark.parametrize("kind", ["WordLevel", "WordPiece", "BPE", "Unigram"])
@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"truncation": cut(5)},
        {"truncation": cut(5, "Left")},
        {"truncation": cut(6, stride=2)},
        {"padding": padded(direction="Left", pad_id=3)},
        {"padding": padded(multiple=8)},
        {"truncation": cut(4, "Left"), "padding": padded({"Fixed": 9}, "Left", pad_id=2)},
        {"truncation": cut(5), "padding": padded({"Fixed": 5}, multiple=3)},
    ],
    ids=str,
)
def test_what_a_definition_declares_holds(tmp_path, kind, declared):
    definition = made(kind, **declared)
    theirs = Tokenizer.from_str(json.dumps(definition))
    if "padding" not in declared:
        theirs.enable_padding()
    bundle = Bundle(bundle_of(tmp_path, definition), device="cpu")
    np.testing.assert_array_equal(
        bundle.embed("text_embedder", TEXTS).values[:, 0], expected(theirs.encode_batch(TEXTS))
    )


@pytest.mark.parametrize("post", POST)
def test_no_text_is_cut_where_the_definition_does_not_cut_it(tmp_path, post):
    definition, special = made(post=post), POST[post][1]
    theirs = Tokenizer.from_str(json.dumps(definition))
    assert theirs.num_special_tokens_to_add(False) == special
    for number, max_length in enumerate(range(1, special + 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        message = (
            rf"role 'text_embedder', field 'max_length': room for a token of the text beside the {special} special "
            rf"tokens .*, {special + 1} or more; got {max_length} in .*text_embedder\.tokenizer\.json"
        )
        with pytest.raises(RuntimeError, match=message):
            bundle_of(folder, definition, max_length)
    theirs.enable_padding()
    encoded = theirs.encode_batch(TEXTS)
    longest = len(encoded[0].ids)
    (tmp_path / "room").mkdir()
    bundle = Bundle(bundle_of(tmp_path / "room", definition, longest), device="cpu")
    np.testing.assert_array_equal(bundle.embed("text_embedder", TEXTS).values[:, 0], expected(encoded))
    bundle = Bundle(bundle_of(tmp_path, definition, longest - 1), device="cpu")
    with pytest.raises(
        ValueError, match=rf"a text must have at most {longest - 1} tokens \(max_length\); got {longest}"
    ):
        bundle.embed("text_embedder", TEXTS)


@pytest.mark.parametrize(
    ("declared", "max_length", "message"),
    [
        (
            {"truncation": cut(5)},
            6,
            r"'max_length': what .* declares as 'truncation.max_length' is expected, 5, .*got 6",
        ),
        (
            {"truncation": cut(6)},
            5,
            r"'max_length': what .* declares as 'truncation.max_length' is expected, 6, .*got 5",
        ),
        (
            {"truncation": cut(2)},
            None,
            r"'truncation.max_length' of the tokenizer: room for a token .* 3 or more; got 2",
        ),
        (
            {"truncation": cut(0)},
            None,
            r"'truncation.max_length' of the tokenizer: room for a token .* 3 or more; got 0",
        ),
        ({"truncation": cut(5, stride=3)}, None, r"'truncation.stride' of the tokenizer: less than the 3 .*; got 3"),
        ({"padding": padded({"Fixed": 9})}, 8, r"'max_length': at least what .* pads a text to is expected, 9 .*got 8"),
        ({"padding": padded(multiple=8)}, 5, r"'max_length': at least what .* pads a text to is expected, 8 .*got 5"),
        ({"model": {"type": "BPE"}}, None, r"field 'tokenizer': a tokenizer.json of Hugging Face's .*vocab"),
        ({"truncation": {"max_length": "many"}}, None, r"field 'tokenizer': a tokenizer.json of Hugging Face's"),
    ],
)
def test_lengths_that_do_not_go_together_are_refused(tmp_path, declared, max_length, message):
    with pytest.raises(RuntimeError, match=r"^\[models\.bundle\] role 'text_embedder', .*" + message):
        bundle_of(tmp_path, made(**declared), max_length)
    assert not (tmp_path / "bundle").exists()


def test_verify_tells_it_too(tmp_path):
    folder = bundle_of(tmp_path, made(), 3)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["roles"]["text_embedder"]["max_length"] = 2
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(RuntimeError, match="role 'text_embedder', field 'max_length': room for a token"):
        describe.verify(folder)
    with pytest.raises(RuntimeError, match="role 'text_embedder', field 'max_length': room for a token"):
        Bundle(folder).embed("text_embedder", TEXTS)


def test_a_text_beyond_a_fixed_length_is_named(tmp_path):
    bundle = Bundle(bundle_of(tmp_path, made(padding=padded({"Fixed": 4}))), device="cpu")
    assert bundle.embed("text_embedder", ["a b", "c"]).values.shape == (2, 1, 2)
    for texts in (["a", "a b c d"], ["a b c d"]):
        with pytest.raises(ValueError, match=r"must fit the 4 tokens that .* pads it to; got 6 for 'a b c d': shorten"):
            bundle.embed("text_embedder", texts)
