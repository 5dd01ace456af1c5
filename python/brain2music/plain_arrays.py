"""One doorway for arrays: what would lose its meaning as a plain array is refused, by name, before anything is read.

NumPy, scikit-learn and torch read a masked array as the numbers that lie under its mask, without a word. Every room of
brain2music calls :func:`guard` on itself, so that each public function and method looks at its arguments first.
"""

import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

__all__ = ["guard", "refuse_masked"]

#: Types that hold nothing to look at; most of what lists hold.
_SCALARS = frozenset({bool, int, float, complex, str, bytes, type(None), np.float32, np.float64, np.int64, np.str_})
_DEEPEST = 6


def refuse_masked(value: Any, name: str, where: str) -> None:
    """Raise ValueError if a value is, or holds, what would lose its meaning as a plain array.

    Refused are masked elements (``numpy.ma``, also one masked constant in a list, and any other array with a ``mask``
    of which an element is set), missing values that pandas marks (``<NA>``, ``NaT``), and tensors that are sparse,
    nested, masked or quantised. An array whose mask sets no element is a plain array.

    Parameters
    ----------
    value : object
        An argument; lists, tuples, mappings and dataclasses are looked into.
    name : str
        What the message calls it.
    where : str
        Room and function, for the message.

    Raises
    ------
    ValueError
        Naming the argument, what it holds and what to do.
    """
    for found, advice in _odd(value, _DEEPEST):
        kind = "masked or missing values" if advice is _FILL else "such tensors"
        raise ValueError(f"[{where}] {kind} have no place here; got {found} for {name}: {advice}")


_FILL = "fill them, or leave out the rows or columns that hold them"
_DENSE = "make a plain tensor of it (to_dense, dequantize, to_padded_tensor)"


def _odd(value: Any, depth: int) -> Iterator[tuple[str, str]]:
    """Name what a value holds that has no place, and say what to do about it."""
    if type(value) in _SCALARS or depth == 0:
        return
    if isinstance(value, torch.Tensor):
        yield from _odd_tensor(value)
    elif isinstance(value, np.ndarray) or hasattr(value, "__array__"):
        yield from _odd_array(value, depth)
    elif isinstance(value, dict):  # no other mapping: a study's stimuli would be decoded
        yield from _odd_items(list(value.values()), depth)
    elif isinstance(value, list | tuple | set | frozenset):
        yield from _odd_items(value, depth)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from _odd_items([getattr(value, field.name, None) for field in dataclasses.fields(value)], depth)
    elif type(value).__name__ in ("NAType", "NaTType"):
        yield f"pandas' {value}", _FILL


def _odd_items(items: Any, depth: int) -> Iterator[tuple[str, str]]:
    kinds = set(map(type, items)) - _SCALARS  # at the speed of C, for long lists of numbers
    if kinds:
        for item in items:
            if type(item) in kinds:
                yield from _odd(item, depth - 1)


def _odd_tensor(value: torch.Tensor) -> Iterator[tuple[str, str]]:
    if type(value).__name__ == "MaskedTensor":
        yield "a torch MaskedTensor", _FILL
    elif value.is_nested:
        yield "a nested tensor", _DENSE
    elif value.layout is not torch.strided:
        yield f"a tensor of layout {value.layout}", _DENSE
    elif value.is_quantized:
        yield f"a quantised tensor ({value.dtype})", _DENSE


def _odd_array(value: Any, depth: int) -> Iterator[tuple[str, str]]:
    mask = getattr(value, "mask", None)
    if mask is not None and not callable(mask):
        marks: Any = np.ma.getmaskarray(value) if isinstance(value, np.ma.MaskedArray) else np.asarray(mask)
        # A record's mask has a field for each of its own.
        fields = [marks[field] for field in marks.dtype.names] if marks.dtype.names else [marks]
        count = sum(int(np.count_nonzero(field)) for field in fields)
        if count:
            yield f"a masked array of shape {np.shape(value)} with {count} masked", _FILL
            return
    if type(value).__module__.partition(".")[0] == "pandas":
        count = _missing_of_pandas(value)
        if count:
            yield f"a pandas {type(value).__name__} with {count} missing (<NA>)", _FILL
    elif isinstance(value, np.ndarray) and value.dtype == object:
        yield from _odd_items(value.ravel().tolist(), depth)


def _missing_of_pandas(value: Any) -> int:
    """Count what pandas marks as missing in columns of its own types; NaN in a NumPy column is a number like others."""
    columns = [value.iloc[:, i] for i in range(value.shape[1])] if value.ndim == 2 else [value]
    return sum(int(np.count_nonzero(column.isna())) for column in columns if not isinstance(column.dtype, np.dtype))


def guard(room: str) -> None:
    """Let every public function and class of a room refuse, before anything else, what :func:`refuse_masked` refuses.

    Parameters
    ----------
    room : str
        The name of a module that lists its public names in ``__all__``: functions are replaced, there and where they
        are defined, and classes get guarded methods, those that they inherit included.
    """
    module = sys.modules[room]
    for name in module.__all__:
        public = getattr(module, name)
        if isinstance(public, type):
            _guard_class(public)
        elif inspect.isfunction(public) and not hasattr(public, "_is_guarded"):
            guarded = _guarded(public, _signed(public.__module__, public.__name__))
            setattr(module, name, guarded)
            setattr(sys.modules[public.__module__], public.__name__, guarded)  # so that pickle finds it there


def _signed(module: str, name: str) -> str:
    """E.g. "ridge.RidgeCV.fit": the room, and the function in it."""
    return f"{module.split('.')[1]}.{name}"


def _guard_class(public: type) -> None:
    estimator = hasattr(public, "get_params")
    for name, method in inspect.getmembers_static(public):
        # scikit-learn's estimators keep what they are given as it is, and look at it when they are fitted.
        wanted = (name == "__init__" and not estimator) or not name.startswith(("_", "get_", "set_"))
        function = method.__func__ if isinstance(method, classmethod | staticmethod) else method
        if not wanted or not inspect.isfunction(function) or hasattr(function, "_is_guarded"):
            continue
        signed = _signed(public.__module__, public.__name__ + ("" if name == "__init__" else f".{name}"))
        guarded: Any = _guarded(function, signed)
        setattr(public, name, type(method)(guarded) if function is not method else guarded)


def _guarded(function: Callable[..., Any], where: str) -> Callable[..., Any]:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind_partial(*args, **kwargs).arguments
        except TypeError:
            return function(*args, **kwargs)  # which says what is wrong with the call
        for name, value in given.items():
            if name in ("self", "cls"):
                parameters = value.get_params(deep=False) if name == "self" and hasattr(value, "get_params") else {}
                for parameter, setting in parameters.items():
                    refuse_masked(setting, parameter, where)
            else:
                refuse_masked(value, name, where)
        return function(*args, **kwargs)

    checked._is_guarded = True  # type: ignore[attr-defined]
    return checked
