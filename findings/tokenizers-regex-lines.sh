#!/usr/bin/env bash
# tokenizers 0.23.3: in Regex the anchors ^ and $ match at every line of a text.
#
# Expected: in Python's re, and in the regex crate of Rust, which tokenizers is written in, ^ and $ match at the beginning and
# at the end of the text unless a flag asks for lines. The documentation of tokenizers' Regex names no syntax.
# What happens: Regex is given to Oniguruma with Ruby's syntax. There ^ and $ match at every line, and no flag changes that.
# So the normaliser Replace(Regex("^ +| +$"), ""), which is meant to take spaces from both ends of a text, takes them from both
# ends of every line. The pre-tokeniser Split divides a text at every line in the same way. Of the two flags that Python has,
# (?m) means something else here: the dot matches the end of a line.
# Why it matters here: a text with several lines gets other tokens than from the library that the tokenizer.json was written
# for. Nothing is raised, and texts of one line give no sign of it.
# What a user can do: write \A and \z in place of ^ and $.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tokenizers==0.23.3
cd "$folder"
cat >lines.py <<'PYTHON'
import re

from tokenizers import Regex, normalizers, pre_tokenizers

text = "  slow \n  blues  "
by_python = re.sub(r"^ +| +$", "", text)
by_tokenizers = normalizers.Replace(Regex(r"^ +| +$"), "").normalize_str(text)
by_text = normalizers.Replace(Regex(r"\A +| +\z"), "").normalize_str(text)
print(f"re:                     {by_python!r}")
print(f"Replace with ^ and $:   {by_tokenizers!r}")
print(f"Replace with \\A and \\z: {by_text!r}")
assert by_python == by_text == "slow \n  blues"
assert by_tokenizers == "slow\nblues", "the behaviour has changed"

split = pre_tokenizers.Split(Regex("^a"), "removed").pre_tokenize_str("ab\nab")
print(f"Split at ^a:            {[piece for piece, _ in split]!r}")
assert [piece for piece, _ in split] == ["b\n", "b"], "the behaviour has changed"

dot = normalizers.Replace(Regex("(?m)a.b"), "-").normalize_str("a\nb")
print(f"Replace with (?m)a.b:   {dot!r}")
assert dot == "-" and re.sub("(?m)a.b", "-", "a\nb") == "a\nb", "the behaviour has changed"
PYTHON
venv/bin/python lines.py
echo "As described: ^ and \$ match at every line."
