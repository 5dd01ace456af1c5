#!/usr/bin/env bash
# tokenizers 0.23.3: a truncation shorter than the special tokens cuts nothing.
#
# Expected: `Tokenizer.enable_truncation(max_length)`: "max_length: The max length at which to truncate". With two special
# tokens around every text, max_length=1 cannot hold; one expects an error, or at most that many tokens.
# What happens: max_length 0 and 1 leave every text whole, without a word; 2 leaves the special tokens alone, so that all
# texts are the same; 3 and more cut as they say.
# Why it matters here: a text embedder with a short `max_length` in its manifest would be given texts longer than its
# positions, or embed every caption alike.
# What a user can do: ask `tokenizer.num_special_tokens_to_add(False)`, and keep max_length above it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tokenizers==0.23.3
"$folder/venv/bin/python" - <<'PY'
from tokenizers import Tokenizer, models, pre_tokenizers, processors

lengths = {}
for max_length in range(5):
    tokenizer = Tokenizer(models.WordLevel({"[CLS]": 0, "[SEP]": 1, "a": 2, "b": 3, "c": 4}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    tokenizer.enable_truncation(max_length)
    lengths[max_length] = len(tokenizer.encode("a b c a b").ids)
    print(f"max_length {max_length}, 2 special tokens: {lengths[max_length]} tokens of 7")
raise SystemExit(lengths != {0: 7, 1: 7, 2: 2, 3: 3, 4: 4})
PY
