"""Networks that do not say the same twice are refused by role and file; those that do are taken."""

import warnings

import made_bundle
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from brain2music.bundles import Bundle, describe, write

RATE = 300
CARD = {"name": "tiny", "source": "this test", "licence": "Apache-2.0", "replaces": "nothing"}
MUSIC = {"methods": ["embed"], "sample_rate": RATE, "window": 1.0, "dimension": 2, "card": CARD}
NAMED = r"^\[models\.bundle\] role 'music_embedder' \(music_embedder\.pt\) "


class Through(nn.Module):
    """Sound through a layer, in ten channels, then two sums."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def embed(self, wave: torch.Tensor) -> torch.Tensor:
        return self.layer(wave.reshape(wave.size(0), 10, -1)).flatten(1)[:, :2]


class Exported(Through):
    """To be scripted: an exported method can no longer be traced."""

    @torch.jit.export
    def embed(self, wave: torch.Tensor) -> torch.Tensor:
        return self.layer(wave.reshape(wave.size(0), 10, -1)).flatten(1)[:, :2]


def scripted(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(module)


def traced(module, batch=4):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace_module(module, {"embed": torch.randn(batch, RATE)}, check_trace=False)


def written(folder, module, role="music_embedder", **entry):
    return write(
        folder / "bundle", name="tiny", description="For tests.", roles={role: {"module": module, **MUSIC, **entry}}
    )


LAYERS = {
    "dropout": lambda: nn.Dropout(0.5),
    "rare dropout": lambda: nn.Dropout(1e-6),
    "feature dropout": lambda: nn.Dropout1d(0.5),
    "alpha dropout": lambda: nn.AlphaDropout(0.5),
    "feature alpha dropout": lambda: nn.FeatureAlphaDropout(0.5),
    "batch norm": lambda: nn.BatchNorm1d(10),
    "batch norm without affine": lambda: nn.BatchNorm1d(10, affine=False),
    "rrelu": lambda: nn.RReLU(),
    "instance norm with statistics": lambda: nn.InstanceNorm1d(10, track_running_stats=True),
    "transformer": lambda: nn.TransformerEncoderLayer(30, 2, 8, batch_first=True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_what_was_traced_in_training_mode_is_refused_without_a_call(tmp_path, name):
    module = traced(Through(LAYERS[name]()).train())
    rule = {
        "rrelu": "must hold no dropout in training mode; got aten::rrelu.* with training=True in embed",
        "batch norm": "must hold no batch norm in training mode, .*; got aten::batch_norm with training=True in embed",
        "instance norm with statistics": "must hold no instance norm in training mode, .* with use_input_stats=True",
    }.get(name.removesuffix(" without affine"), "must hold no dropout in training mode; got aten::.* in embed: call ev")
    with pytest.raises(RuntimeError, match=NAMED + rule):
        written(tmp_path, module)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("how", ["scripted in training mode", "scripted", "traced"])
def test_evaluation_mode_is_taken(tmp_path, name, how):
    module = (Through if how == "traced" else Exported)(LAYERS[name]())
    script = scripted(module.train()) if how.endswith("training mode") else None
    module.eval()
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, (3, RATE)).astype(np.float32)
    with torch.inference_mode():
        expected = module.embed(torch.from_numpy(wave)).numpy()
    script = script or (traced if how == "traced" else scripted)(module)
    bundle = Bundle(written(tmp_path, script), device="cpu")
    values = bundle.embed("music_embedder", (wave, RATE), hop=1.0).values
    np.testing.assert_allclose(values[:, 0], expected, atol=1e-5)
    np.testing.assert_array_equal(bundle.embed("music_embedder", (wave, RATE), hop=1.0).values, values)


@pytest.mark.parametrize("how", [scripted, traced])
@pytest.mark.parametrize("layer", ["lstm", "gru", "group norm", "instance norm", "convolution", "dropout of nothing"])
def test_other_deterministic_layers_are_taken(tmp_path, how, layer):
    layers = {
        "lstm": lambda: nn.LSTM(30, 4, 2, dropout=0.3, batch_first=True),
        "gru": lambda: nn.GRU(30, 4, batch_first=True),
        "group norm": lambda: nn.GroupNorm(2, 10),
        "instance norm": lambda: nn.InstanceNorm1d(10),
        "convolution": lambda: nn.Sequential(nn.Conv1d(10, 4, 5), nn.BatchNorm1d(4), nn.GELU(), nn.Conv1d(4, 2, 5)),
        "dropout of nothing": lambda: nn.Dropout(0.0),
    }

    exported = torch.jit.export if how is scripted else lambda method: method

    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layers[layer]()

        @exported
        def embed(self, wave: torch.Tensor) -> torch.Tensor:
            return self.layer(wave.reshape(wave.size(0), 10, 30))[0].flatten(1)[:, :2]

    module = (
        First() if layer in ("lstm", "gru") else (Exported if how is scripted else Through)(layers[layer]())
    ).eval()
    written(tmp_path, how(module))


class Always(nn.Module):
    """Dropout that forgets the mode: ``functional.dropout`` drops by default."""

    @torch.jit.export
    def embed(self, wave: torch.Tensor) -> torch.Tensor:
        return functional.dropout(wave, 0.5)[:, :2]


class WhenLarge(nn.Module):
    """Dropout of batches that no tiny call has."""

    @torch.jit.export
    def embed(self, wave: torch.Tensor) -> torch.Tensor:
        return functional.dropout(wave, 0.5, training=wave.size(0) > 16)[:, :2]


class Attention(nn.Module):
    @torch.jit.export
    def embed(self, wave: torch.Tensor) -> torch.Tensor:
        x = wave.reshape(wave.size(0), 1, 10, 30)
        return functional.scaled_dot_product_attention(x, x, x, dropout_p=0.1).flatten(1)[:, :2]


class OwnStatistics(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(300, track_running_stats=False)

    @torch.jit.export
    def embed(self, wave: torch.Tensor) -> torch.Tensor:
        return self.norm(wave)[:, :2]


class InAPart(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList([Noisy()])

    @torch.jit.export
    def embed(self, wave: torch.Tensor) -> torch.Tensor:
        for part in self.parts:
            if wave.size(0) > 8:  # where no tiny call goes
                wave = part(wave)
        return wave[:, :2]


class Noisy(nn.Module):
    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        return wave + 1e-9 * torch.randn_like(wave)


@pytest.mark.parametrize(
    ("module", "rule"),
    [
        (Always, "must hold no dropout in training mode; got aten::dropout with train=True in embed: call eval"),
        (WhenLarge, "must hold no dropout in training mode; got aten::dropout with train not constant in embed"),
        (
            Attention,
            "must hold no dropout in training mode; got aten::scaled_dot_product_attention with dropout_p=0.1",
        ),
        (OwnStatistics, "must hold no batch norm in training mode, nor one without running statistics"),
        (InAPart, "must draw no random numbers; got aten::randn_like in embed: give what is random as an input"),
    ],
)
def test_what_drops_or_draws_in_evaluation_mode_is_refused(tmp_path, module, rule):
    with pytest.raises(RuntimeError, match=NAMED + rule):
        written(tmp_path, scripted(module().eval()))


@pytest.mark.parametrize(
    "expression",
    [
        "torch.rand(2)",
        "torch.rand_like(wave)[:, :2]",
        "torch.randn(2)",
        "torch.randint(3, [2])",
        "torch.randperm(2)",
        "torch.bernoulli(torch.sigmoid(wave[:, :2]))",
        "torch.normal(wave[:, :2], 1.0)",
        "torch.multinomial(torch.sigmoid(wave), 2)",
        "torch.poisson(wave[:, :2].abs())",
        "torch.empty(2).uniform_()",
        "torch.empty(2).normal_()",
        "torch.empty(2).exponential_()",
        "torch.empty(2).random_(3)",
        "torch.empty(2).cauchy_()",
        "torch.empty(2).log_normal_()",
        "torch.empty(2).geometric_(0.5)",
    ],
)
def test_random_numbers_are_refused(tmp_path, expression):
    module = scripted_of(f"def embed(self, wave):\n  return wave[:, :2] + {expression}\n")
    with pytest.raises(RuntimeError, match=NAMED + r"must draw no random numbers; got aten::\w+ in embed: give"):
        written(tmp_path, module)


def scripted_of(source, **buffers):
    class Network(torch.jit.ScriptModule):
        def __init__(self):
            super().__init__()
            for name, value in buffers.items():
                setattr(
                    self,
                    name,
                    torch.jit.Attribute(value, list[torch.Tensor] if isinstance(value, list) else type(value)),
                )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = Network()
        module.define(source)
        return module.eval()


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("self.n += 1\n  return wave[:, :2] + self.n", r"must say the same twice; got answers 1 apart .*holds \(n\)"),
        ("self.n += 1\n  return wave[:, :2] + float(self.n > 2)", "must keep nothing from one call .*; got n, which"),
        ("self.cache.add_(1)\n  return wave[:, :2] + self.cache", r"must say the same twice; .* holds \(cache\)"),
        ("self.cache[0] = wave[0, 0]\n  return wave[:, :2] + self.cache", None),
        ("self.past.append(wave)\n  return wave[:, :2] + len(self.past)", r"must say the same twice; .*\(past\)"),
        ("self.past.append(wave)\n  return wave[:, :2]", "must keep nothing from one call to the next; got past"),
        ("self.cache = torch.cat([self.cache, wave[0]])\n  return self.cache[-2:].repeat(2, 1)", "got cache, which"),
        ("self.n += 1\n  return wave[:, : self.n + 1]", r"must say the same twice; got \[2, 2\], then \[2, 3\] from"),
    ],
)
def test_state_that_calls_change_is_refused(tmp_path, body, rule):
    module = scripted_of(f"def embed(self, wave):\n  {body}\n", n=0, cache=torch.zeros(2), past=[torch.zeros(1)])
    if rule is None:  # what a first call leaves, and later ones leave alone, changes no answer to one input
        written(tmp_path, module)
        return
    with pytest.raises(RuntimeError, match=NAMED + ".*" + rule):
        written(tmp_path, module)


CODES = {"levels": 2, "vocabulary": 16, "frame_rate": 10, "channels": 1}
METHODS = {
    "codec": (
        {"methods": ["encode", "decode"], "sample_rate": RATE, **CODES},
        "def encode(self, wave):\n  return (wave[:, :1].reshape(wave.size(0), 1, 10, 30).abs().mean(3) * 15)"
        ".long().repeat(1, 2, 1){encode}\n"
        "def decode(self, codes):\n  return codes.float().mean(1, keepdim=True).repeat_interleave(30, 2){decode}\n",
    ),
    "semantic_encoder": (
        {"methods": ["tokenize"], "sample_rate": RATE, "frame_rate": 10, "vocabulary": 16},
        "def tokenize(self, wave):\n  x = wave.reshape(wave.size(0), 10, 30)\n"
        "  return (x.abs().mean(2) * 15).long(){tokenize}\n",
    ),
    "conditioner": (
        {"methods": ["quantize", "dequantize"], "dimension": 4, "levels": 2, "vocabulary": 16},
        "def quantize(self, x):\n  return (x[:, :2].abs() * 15).long(){quantize}\n"
        "def dequantize(self, codes):\n  return codes.float().repeat(1, 2){dequantize}\n",
    ),
    "tagger": (
        {"methods": ["tag"], "sample_rate": RATE, "window": 1.0, "classes": ["a", "b", "c"]},
        "def tag(self, wave):\n  return wave[:, :3].sigmoid(){tag}\n",
    ),
}


def write_role(folder, role, changed="", change=""):
    entry, source = METHODS[role]
    changes = {method: change if method == changed else "" for method in entry["methods"]}
    roles = {role: {"module": scripted_of(source.format(**changes)), "card": CARD, **entry}}
    return write(folder / "bundle", name="tiny", description="For tests.", roles=roles)


@pytest.mark.parametrize("role", METHODS)
def test_every_method_of_a_role_is_tried(tmp_path, role):
    folder = write_role(tmp_path, role)
    assert f"{role}: {', '.join(METHODS[role][0]['methods'])}, in float32" in describe.verify(folder)


@pytest.mark.parametrize(
    ("role", "method"), [(role, method) for role, (entry, _) in METHODS.items() for method in entry["methods"]]
)
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (" + torch.randint(2, [1])", r"\({0}\.pt\) must draw no random numbers; got aten::randint in {1}"),
        (" > 0", r"must return (int64 codes|a floating type) from {1}; got Bool"),
        ("[:1]", r"must return shape \[2, .*\] from {1}; got \[1"),
        (" * 1000000 - 1", r"must return codes from 0 to 15 \(field 'vocabulary'\) from {1}; got \d+ to"),
        (" / 0.0 * 0.0", "must return (finite values|int64 codes|probabilities from 0 to 1) from {1}; got"),
        (" - 0.7", r"must return (probabilities from 0 to 1|int64 codes) from {1}; got"),
    ],
)
def test_every_method_is_held_to_the_rules(tmp_path, role, method, change, rule):
    if "vocabulary" in rule and method in ("decode", "dequantize", "tag"):
        pytest.skip("returns no codes")
    if "- 0.7" in change and method in ("decode", "dequantize"):
        pytest.skip("returns no probabilities")
    with pytest.raises(RuntimeError, match=rf"^\[models\.bundle\] role '{role}' ?.*" + rule.format(role, method)):
        write_role(tmp_path, role, method, change)


def write_codec(folder, decode="", **fields):
    entry, source = METHODS["codec"]
    source = source.replace("def encode(self, wave):\n", "def encode(self, wave):\n  assert wave.size(1) == 2\n")
    source = source.replace("repeat_interleave(30, 2)", "repeat_interleave(30, 2).repeat(1, 2, 1)")
    role = {"module": scripted_of(source.format(encode="", decode=decode)), "card": CARD, **entry, **fields}
    return write(folder, name="x", description="y", roles={"codec": role})


def test_a_codec_is_tried_with_the_channels_that_it_tells(tmp_path):
    write_codec(tmp_path / "two", channels=2)
    with pytest.raises(RuntimeError, match=r"role 'codec' \(codec\.pt\) must run encode; got"):
        write_codec(tmp_path / "one")
    with pytest.raises(RuntimeError, match=r"role 'codec' must return shape \[2, 2, any\] from decode; got \[2, 1"):
        write_codec(tmp_path / "mono", "[:, :1]", channels=2)


@pytest.mark.parametrize(
    ("decode", "context", "rule"),
    [
        ("", (0, 0), None),
        (
            ".cumsum(2)",
            (0, 0),
            r"'context': as many frames as a frame's sound depends on is expected; got 0 before and 0",
        ),
        (".roll(30, 2)", (1, 0), None),
        (".roll(30, 2)", (0, 0), "got 0 before and 0 after, with which a block's sound is"),
        (".roll(-90, 2)", (1, 2), "got 1 before and 2 after"),
        (".roll(-90, 2)", (0, 3), None),
        ("[:, :, :-1]", (2, 2), r"as many samples for every frame from decode, where 'context' is told; got"),
    ],
)
def test_the_context_of_a_codec_is_tried(tmp_path, decode, context, rule):
    past, future = context
    fields = {"channels": 2, "context": {"past": past, "future": future}}
    if rule is None:
        write_codec(tmp_path / "b", decode, **fields)
        return
    with pytest.raises(RuntimeError, match=rf"role 'codec'.*{rule}"):
        write_codec(tmp_path / "b", decode, **fields)


def test_the_graphs_of_stages_and_generators_are_read(tmp_path):
    """What the manifest does not describe in full is not called, but read."""
    entry = {"methods": ["generate"], "sample_rate": RATE, "dimension": 2, "card": CARD}
    body = "def generate(self, embedding, noise):\n  return embedding.sum() + noise{}\n"
    roles = {"generator": {"module": scripted_of(body.format("")), **entry}}
    space = {"dimension": 2, "roles": [], "hashes": ["0" * 64]}
    write(tmp_path / "good", name="x", description="y", roles=roles, space=space)
    roles["generator"]["module"] = scripted_of(body.format(" + torch.randn_like(noise)"))
    with pytest.raises(
        RuntimeError, match=r"role 'generator' \(generator\.pt\) must draw no random numbers; got aten::r"
    ):
        write(tmp_path / "bad", name="x", description="y", roles=roles, space=space)


def test_stages_are_tried_before_the_bundle_appears(tmp_path):
    made_bundle.write(tmp_path / "good")
    assert "\nstage fine: init_state, extend, in float32" in describe.verify(tmp_path / "good")
    modules = made_bundle.networks()
    modules["coarse"] = modules["semantic"]  # of 43 ids, not 48
    with pytest.raises(RuntimeError, match=r"stage 'coarse'.* must return shape \[3, \d, 48\] from extend"):
        made_bundle.write(tmp_path / "bad", modules=modules)
    assert not (tmp_path / "bad").exists()


def test_texts_are_tried_twice(tmp_path):
    source = "def embed(self, texts: List[str]):\n  self.n += 1\n  return torch.zeros(len(texts), 2) + self.n\n"
    text = {"window": 15.0, "dimension": 2, "card": CARD, "methods": ["embed"]}
    with pytest.raises(RuntimeError, match=r"role 'text_embedder' \(text_embedder\.pt\) must say the same twice; got"):
        write(
            tmp_path / "b",
            name="x",
            description="y",
            roles={"text_embedder": {"module": scripted_of(source, n=0), **text}},
        )
