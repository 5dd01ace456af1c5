"""
The C++ library: one submodule per room. Users want the modules of brain2music instead.
"""
from __future__ import annotations
from . import audio
from . import decoding
from . import encoding
from . import io
from . import kernels
from . import metrics
from . import models
from . import embedding
from . import generation
from . import ridge
from . import retrieval
from . import signal
__all__: list[str] = ['audio', 'cuda_architectures', 'decoding', 'embedding', 'encoding', 'generation', 'io', 'kernels', 'metrics', 'models', 'retrieval', 'ridge', 'signal', 'torch_version', 'version']
def cuda_architectures() -> str:
    """
    CUDA architectures that the kernels were compiled for; empty in a CPU build.
    """
def torch_version() -> str:
    """
    Version of torch that the C++ library was built with.
    """
def version() -> str:
    """
    Version of the C++ library.
    """
