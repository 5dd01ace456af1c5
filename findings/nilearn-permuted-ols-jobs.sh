#!/usr/bin/env bash
# nilearn 0.14.1: the P-values of permuted_ols depend on n_jobs and on the number of processors, also with a random_state.
#
# Expected: random_state is the "pseudo-random number generator state used for random sampling", and n_jobs the "number of
# parallel workers". "If -1 is provided, all CPUs are used." One seed should give one result, however many workers share it,
# as in scikit-learn.
# What happens: each worker takes a share of the permutations, and a seed of its own. Another number of workers draws other
# permutations. n_jobs is first cut to the number of processors. n_jobs=-1 asks for two workers more than there are
# processors. With n_jobs=-1, or n_jobs above the number of processors, P-values depend on that number.
# Why it matters here: a map of what is significant is not the one that was published, though script, seed and versions are
# the same. A test of a pipeline passes on one machine and fails on the next.
# What a user can do: n_jobs=1, which is the default, for what is to be repeated.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nilearn==0.14.1 numpy==2.2.6
cd "$folder"
cat >jobs.py <<'PYTHON'
import json
import sys

import numpy as np
from nilearn.mass_univariate import permuted_ols

rng = np.random.default_rng(0)
tested, targets = rng.standard_normal((20, 1)), rng.standard_normal((20, 6))
found = permuted_ols(tested, targets, n_perm=300, random_state=0, n_jobs=int(sys.argv[1]), output_type="dict")
print(json.dumps((10 ** -found["logp_max_t"][0]).round(4).tolist()))
PYTHON
# LOKY_MAX_CPU_COUNT is joblib's own setting. Here it stands for a machine with one processor, so that all machines agree.
export LOKY_MAX_CPU_COUNT=1
for jobs in 1 1 2 -1; do
  venv/bin/python jobs.py "$jobs" >>found.txt
done
venv/bin/python - <<'PYTHON'
import json

one, again, two, every = [json.loads(line) for line in open("found.txt")]
print(f"one processor, random_state=0, n_jobs=1: {one}")
print(f"the same call in a second process:       {again}")
print(f"n_jobs=2, cut to one processor:          {two}")
print(f"n_jobs=-1, which makes three workers:    {every}")
assert one == again == two and one != every, "the P-values no longer depend on n_jobs"
PYTHON
