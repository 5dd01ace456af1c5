"""What is installed here: the first thing to put into a bug report."""

import importlib.metadata
import os
import platform

import torch

from brain2music import _core

__all__ = ["show_versions", "versions"]


def show_versions() -> None:
    """Print the versions of brain2music, of what it stands on, and of the machine.

    Examples
    --------
    >>> import brain2music as b2m
    >>> b2m.show_versions()  # doctest: +SKIP
    """
    for name, value in versions().items():
        print(f"{name:<13} {value}")


def versions() -> dict[str, str]:
    """Return what :func:`show_versions` prints, by name."""
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "brain2music": _core.version(),
        "CUDA kernels": _core.cuda_architectures() or "none (CPU build)",
        "CUDA devices": ", ".join(devices) if devices else "none",
        "torch": f"{torch.__version__} (built with {_core.torch_version()}, CUDA {torch.version.cuda})",
        "numpy": importlib.metadata.version("numpy"),
        "Python": platform.python_version(),
        "system": platform.platform(),
        "processor": f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"{torch.backends.cpu.get_cpu_capability()}",
    }
