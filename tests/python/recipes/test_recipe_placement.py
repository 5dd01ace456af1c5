"""Training on a GPU, without one: networks and batches lie there, random numbers are drawn on the CPU."""

from functools import partial

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from brain2music.recipes import Recipe, codec_training, contrast, language, tagger, training
from brain2music.recipes.codec import CodecNetwork
from brain2music.recipes.excerpts import Excerpt, write_excerpts
from brain2music.recipes.tagger import Tagger
from brain2music.recipes.tokens import Tokens

FAKE = FakeTensorMode(allow_non_fake_inputs=True)


class FakeGpu(TorchDispatchMode):
    """Whatever lies on a GPU is a fake tensor, all else is real; an operation on both but for scalars raises.

    Values that are read there are made up, and counts are zeros.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        there = any(isinstance(leaf, FakeTensor) for leaf in tree_leaves((args, kwargs)))
        device = kwargs.get("device")
        if not there and (device is None or torch.device(device).type != "cuda"):
            return func(*args, **kwargs)
        if func is torch.ops.aten._local_scalar_dense.default:
            return 1.0 if args[0].is_floating_point() else 1
        with FAKE:
            if func is torch.ops.aten.bincount.default:
                return args[0].new_zeros(kwargs.get("minlength", args[-1]))
            return func(*args, **kwargs)


@pytest.fixture
def gpu(monkeypatch):
    """A function that makes a network there, and the devices of the losses.

    Checkpoints would hold no values, and the engine of gradients asks for a driver: both are left out.
    """
    losses = []
    monkeypatch.setattr(torch.Tensor, "backward", lambda loss: losses.append(loss.device.type))
    monkeypatch.setattr(training, "_keep", lambda *args: None)
    if torch.cuda.is_available():
        torch.cuda.init()
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: None)  # what would look for a GPU at the first copy there
    lifted = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # a list becomes a tensor here, and is then copied there

    def make(kind):
        with FAKE, torch.device("cuda"):
            return kind()

    yield make, losses
    torch._C._set_only_lift_cpu_tensors(lifted)


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    def make(index):
        captions = ((0.0, 15.0, "a sad blues"), (10.0, 25.0, "and a happy one"))
        sound = np.random.default_rng(index).uniform(-0.5, 0.5, 480_000).astype(np.float32)
        return Excerpt(str(index), captions, None, ((0.0, 15.0, ("blues", "drums")),)), sound

    return write_excerpts(tmp_path_factory.mktemp("excerpts"), 3, make, "noise", 1, False)


@pytest.mark.filterwarnings("ignore:.*CUDA is not available:UserWarning")
@pytest.mark.parametrize("part", ["embedder", "tagger", "codec", "semantic", "acoustic"])
def test_parts_are_trained_where_their_network_lies(gpu, music, tmp_path, monkeypatch, part):
    how = {"steps": 2, "progress": False}
    generator = torch.Generator().manual_seed(0)
    semantic = torch.randint(8, (3, 750), generator=generator, dtype=torch.int16)
    codes = torch.randint(8, (3, 8, 750), generator=generator, dtype=torch.int16)
    tokens = Tokens(semantic, codes if part == "acoustic" else codes[:, :0], torch.randn(3, 21, 128))
    monkeypatch.setattr(tagger, "_BATCH", 2)
    monkeypatch.setattr(codec_training, "_BATCH", 2)
    kinds = {
        "embedder": partial(contrast.Contrast, ["blues"], ["blues", "drums"]),
        "tagger": partial(Tagger, [-2, 1]),
        "codec": partial(CodecNetwork, codes=8),
        "semantic": partial(language.SemanticLanguage, 8, 32, 1, 2),
        "acoustic": partial(language.AcousticLanguage, 8, 8, 8, 32, 1, 2),
    }
    make, losses = gpu
    network = make(kinds[part])
    with FakeGpu():
        if part == "embedder":
            done = contrast.train_embedder(network, ["blues", "drums"], music, music, tmp_path, dtype="bfloat16", **how)
        elif part == "tagger":
            tags = ["blues", "jazz", "drums"]
            done = tagger.train_tagger(network, tags, music, music, tmp_path, dtype="bfloat16", **how)
        elif part == "codec":
            done = codec_training.train_codec(network, music, music, tmp_path, **how)
        else:
            done = language.train_language(network, tokens, tokens, tmp_path, batch=2, dtype="bfloat16", **how)
    assert done
    assert losses == ["cuda", "cuda"]


@pytest.mark.filterwarnings("ignore:.*CUDA is not available:UserWarning")
def test_linear_maps_are_narrow_on_the_device_that_is_named():
    assert training.mixed("bfloat16", torch.device("cpu")).device == "cpu"
    assert training.mixed("bfloat16", torch.device("cuda")).device == "cuda"


def test_a_device_that_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Recipe(tmp_path).device == torch.device("cpu")
    for device in ("cuda", "mps"):
        with pytest.raises(ValueError, match=rf"\[recipes.Recipe\] device must be 'auto', 'cpu', .*; got '{device}'"):
            Recipe(tmp_path, device=device)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Recipe(tmp_path).device == torch.device("cuda")
