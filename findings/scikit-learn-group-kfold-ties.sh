#!/usr/bin/env bash
# scikit-learn 1.7.2: which groups share a fold of GroupKFold depends on the processor, where groups have equal sizes.
#
# Exits with 3 where that cannot be seen: it needs an x86 processor with AVX2.
#
# Expected: GroupKFold without shuffle has no random state, so that one expects one and the same folds everywhere. The
# documentation says only that "groups appear in an arbitrary order throughout the folds".
# What happens: groups are dealt by size, in the order of np.argsort. That sort is not stable. For more than 16 groups NumPy
# takes other code with AVX2 than without, which orders equal sizes otherwise. Not only the order of folds changes: other
# groups are held out together. By NumPy's source that code is for x86 alone, so that an ARM processor takes the other one.
# scikit-learn's issue 29495 tells of it. Release 1.9.0 sorts with kind="stable"; 1.7.2 is the newest for Python 3.10.
# Why it matters here: runs of equal length are usual in fMRI, and pieces of music cut to one length are as well. Scores, and
# penalties chosen by cross-validation, differ between a laptop and a cluster with the same versions.
# What a user can do: scikit-learn 1.9.1, or a cv that says which groups go together, such as PredefinedSplit.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet scikit-learn==1.7.2 numpy==2.2.6
cd "$folder"
cat >folds.py <<'PYTHON'
import json
import sys

import numpy as np
from sklearn.model_selection import GroupKFold

groups = np.repeat(np.arange(int(sys.argv[1])), 10)  # runs of 10 scans
folds = [sorted(set(groups[test].tolist())) for _, test in GroupKFold(5).split(groups, groups=groups)]
print(json.dumps(sorted(folds)))  # sorted: the order of folds does not count here
PYTHON
features=$(venv/bin/python -c "import numpy; print(*numpy.show_config('dicts')['SIMD Extensions'].get('found', []))")
if [[ " $features " != *" AVX2 "* ]]; then
  echo "this needs an x86 processor with AVX2; NumPy finds: ${features:-nothing}"
  exit 3
fi
for runs in 16 20 60; do
  venv/bin/python folds.py $runs >"with-$runs"
  NPY_DISABLE_CPU_FEATURES="$features" venv/bin/python folds.py $runs >"without-$runs"
done
echo "20 runs of equal length in 5 folds, with AVX2:    $(cat with-20)"
echo "20 runs of equal length in 5 folds, without AVX2: $(cat without-20)"
for runs in 16 20 60; do
  same=no
  if cmp --silent with-$runs without-$runs; then same=yes; fi
  echo "$runs runs: the same groups held out together: $same"
  [[ $runs:$same == 16:yes || $runs:$same == [26]0:no ]] || exit 1
done
