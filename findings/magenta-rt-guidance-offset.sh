#!/usr/bin/env bash
# magenta-rt 2.0.3: a scale of guidance becomes one token in jax/system.py and another in mlx/export.py.
#
# Expected: one model, given one scale of guidance, reads one row of its table of embeddings, whichever runtime feeds it. The
# scales may be -1.0 to 7.0 (config.py), and a channel's tokens lie in its table: per_rvq_vocab_size rows.
# What happens: MagentaRT2System (jax/system.py, mlx/system.py) adds 7 to the codes of every channel, six reserved tokens and one
# for "masked". The scales of guidance are never masked (dropout_prob=None), so that their tables have six rows before code 0.
# mlx/export.py, which writes the .mlxfn that the real-time runtime plays, adds 6. The scales that the two mean by one token are
# one step apart: 0.2, and 1.0 for the drums. At 7.0 the token is the number of rows: the system reads the first row of the
# next channel's table.
# Why it matters here: an exporter must choose. brain2music adds 6, as the tables and the exported runtime do. What the published
# weights were trained with could not be tried without them.
# What a user can do: give MagentaRT2System a scale one step lower than one means: 2.8 in place of 3.0, 0.0 in place of 1.0 for
# the drums, and never 7.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "magenta-rt[jax]==2.0.3" jax==0.10.2 flax==0.12.8
cd "$folder"
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import magenta_rt
import numpy as np
from magenta_rt.jax import model, system, transformer

published = model.MagentaRT2ModelSmall()
configs = [each for each in published.input_configs if each.cfg_scale_keys]
rows = [each.per_rvq_vocab_size for each in configs for _ in each.cfg_scale_keys]
keys = [key for each in configs for key in each.cfg_scale_keys]
caller = SimpleNamespace(cfg_scales={}, _model=published, temperature=1.0, top_k=40)


def tokens(scale):
    """The tokens of the three scales, as MagentaRT2System hands them to the model."""
    block, _ = system.MagentaRT2System._build_conditioning(caller, {}, dict.fromkeys(keys, scale))
    return np.asarray(block.values)[0, 0]


lowest, highest = tokens(-1.0)[-3:], tokens(7.0)[-3:]
exported = (Path(magenta_rt.__file__).parent / "mlx" / "export.py").read_text()
offsets = re.findall(r"_discretize_cfg_token\(scales_args\[\d\], [\d.]+, \d+, (\w+)\)", exported)
print(f"magenta-rt {magenta_rt.__version__}, JAX {jax.__version__}")
print("scales of:", keys, "rows of their tables:", rows)
print("token of scale -1.0 in system.py:", lowest.tolist(), "| in export.py: code 0 +", offsets, "=", system.NUM_RESERVED_TOKENS)
print("token of scale 7.0 in system.py:", highest.tolist())

# The embedder of the small model beside one in which only the first row of the notes' scale is another.
regular = published.input_configs[1:]
sizes = [each.per_rvq_vocab_size for each in regular for _ in range(each.rvq_truncation_level)]
embedder = transformer.MultiChannelEmbedding.Config(
    dimension=4, num_embeddings_per_channel=sizes, num_channels=len(sizes), reduction_fn=jnp.mean
).make()
first_of_notes = sum(sizes[:-2])
table = np.random.default_rng(0).standard_normal((1536, 4)).astype(np.float32)
other = table.copy()
other[first_of_notes] += 1000


def embedded(table, scale):
    given = tokens(1.0).copy()
    given[-3] = tokens(scale)[-3]  # the style's scale alone
    sequence = model.sl.Sequence.from_values(jnp.asarray(given[12:])[None, None])
    return np.asarray(embedder.apply({"params": {"embedding": table}}, sequence, training=False, method="layer").values)


reads = {scale: not np.array_equal(embedded(table, scale), embedded(other, scale)) for scale in (6.8, 7.0)}
print("the style's scale reads the first row of the notes' table:", reads)
as_described = (
    lowest.tolist() == [7, 7, 7]
    and offsets == ["NUM_RESERVED_TOKENS"] * 3
    and system.NUM_RESERVED_TOKENS == 6
    and highest.tolist() == rows == [47, 47, 15]
    and reads == {6.8: False, 7.0: True}
)
sys.exit(not as_described)
PYTHON
