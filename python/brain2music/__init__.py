"""Music from fMRI: decoding music from brain activity, and mapping its features onto the cortex.

Follows *Brain2Music* (Denk, Takagi et al., 2023). NumPy arrays and torch tensors go in; what comes out is of the kind
that went in, on its device.
"""

import importlib
from pathlib import Path
from typing import Any

import soundfile as _soundfile  # type: ignore[import-untyped]  # noqa: F401  brings libsndfile where the system has none
import torch

try:
    from brain2music import _core
except ImportError as error:
    raise ImportError(
        f"[brain2music] the compiled part must load beside torch; got torch {torch.__version__} and '{error}'. "
        "Install brain2music again, beside this torch."
    ) from error

from brain2music import encoding, evaluation, metrics, ridge, signal
from brain2music.bundles import Bundle, Embeddings, Tags
from brain2music.decoding import BrainDecoder, MomentMatching
from brain2music.encoding import VoxelwiseEncoder
from brain2music.generation import Audio, Codec, MusicGenerator
from brain2music.model_files import load
from brain2music.retrieval import Corpus
from brain2music.study import EventRules, Study
from brain2music.versions import show_versions

__version__: str = _core.version()

#: Folder for ``CMAKE_PREFIX_PATH``; with it, ``find_package(brain2music)`` of another C++ program finds the library
#: inside the installed Python package.
cmake_prefix_path: str = str(Path(_core.__file__).parent)


def __getattr__(name: str) -> Any:
    """Import late what takes long (``plotting``), needs Dask (``distributed``), or few need (``exporters``)."""
    if name in ("distributed", "exporters", "plotting"):
        return importlib.import_module(f"brain2music.{name}")
    raise AttributeError(f"module 'brain2music' has no attribute {name!r}")


__all__ = [
    "Audio",
    "BrainDecoder",
    "Bundle",
    "Codec",
    "Corpus",
    "Embeddings",
    "EventRules",
    "MomentMatching",
    "MusicGenerator",
    "Study",
    "Tags",
    "VoxelwiseEncoder",
    "__version__",
    "cmake_prefix_path",
    "encoding",
    "evaluation",
    "load",
    "metrics",
    "ridge",
    "show_versions",
    "signal",
]
