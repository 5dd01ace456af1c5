"""Writes bundles: networks in, a folder that is whole or not there out."""

import json
import os
import re
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from brain2music.bundles.describe import verify
from brain2music.files import digest_file, not_fetched

__all__ = ["write"]

_WHERE = "bundles.write"

_PICKLED = "weights or a module pickled by torch.save"

_FRAME_METHODS = ["init_state", "source", "temporal", "depth_first", "depth_next"]

#: Bytes from which on a network's file is not compressed.
_LARGE = 1 << 28

#: Constants of a class in TorchScript's own source, a line each.
_CONSTANTS = re.compile(rb"(?:^  \w+ : Final\[.*\n)+", re.MULTILINE)


def write(
    folder: str | os.PathLike[str],
    *,
    name: str,
    description: str,
    roles: Mapping[str, Mapping[str, Any]],
    stages: Sequence[Mapping[str, Any]] = (),
    space: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> Path:
    """Write a bundle.

    The bundle is written under another name, opened, every network tried on a tiny input in every type it declares,
    and only then renamed.

    Parameters
    ----------
    folder : path
        To be made.
    name, description : str
        What people read in ``brain2music bundle info``.
    roles : mapping
        From role ("music_embedder", ...) to its entry in the manifest, as ``schema.json`` beside this file has it, with
        ``module`` (a ``torch.jit.ScriptModule``, a function that makes one, or the path of a saved one) in place of
        ``file`` and ``sha256``, and ``tokenizer``, where there is one, the path of a ``tokenizer.json`` or what is to
        stand in it. A function is called when its turn comes, and what it makes is let go once it is written: of
        several large networks one at a time is in memory. ``methods`` and ``card`` say what the network does and where
        it comes from; ``dtypes`` is ``["float32"]`` if left out.
    stages : sequence of mappings, optional
        The stages of generation, in the order in which they run: entries as the roles', with ``name``. ``methods`` may
        be left out.
    space : mapping, optional
        The space of the embeddings that music is made from: ``dimension``, ``roles`` of this bundle that embed into it,
        and ``hashes`` of networks outside that do. Needed beside stages.
    replace : bool, default False
        Replace the bundle that lies there.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    FileExistsError
        If something lies there, or with ``replace`` something else than a bundle.
    ValueError
        If a role or stage has no module, or a stage no name.
    RuntimeError
        If the bundle breaks the schema, or a network does not do what its entry says; role and field are named.

    Examples
    --------
    >>> write(
    ...     "clap/",
    ...     name="CLAP",
    ...     description="CLAP in place of MuLan.",
    ...     roles={
    ...         "music_embedder": {
    ...             "module": torch.jit.script(network),
    ...             "methods": ["embed"],
    ...             "sample_rate": 48000,
    ...             "window": 10.0,
    ...             "dimension": 512,
    ...             "card": {"name": "CLAP", "source": "...", "licence": "CC0-1.0", "replaces": "MuLan's music tower"},
    ...         }
    ...     },
    ... )  # doctest: +SKIP
    """
    target = Path(folder)
    if target.exists() and not (replace and (target / "bundle.json").is_file()):
        what = "something else than a bundle" if replace else "a folder or file (replace=True replaces a bundle)"
        raise FileExistsError(f"[{_WHERE}] folder must not be there yet; got {what} at {target}")
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        building.chmod(0o755)
        manifest: dict[str, Any] = {"schema": 1, "name": name, "description": description}
        if space is not None:
            manifest["space"] = dict(space)
        if stages:
            manifest["stages"] = [_stage(i, dict(given), building) for i, given in enumerate(stages)]
        manifest["roles"] = {role: _entry(role, dict(given), building) for role, given in roles.items()}
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (building / "bundle.json").write_text(text, encoding="utf-8")
        verify(building)
        _put(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def _entry(role: str, given: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write a role's files; its entry in the manifest."""
    module = given.pop("module", None)
    if callable(module) and not isinstance(module, torch.nn.Module):
        module = module()
    if not isinstance(module, torch.jit.ScriptModule | str | os.PathLike):
        raise ValueError(
            f"[{_WHERE}] module must be a torch.jit.ScriptModule or a path; got {type(module).__name__} for {role!r}"
        )
    path = folder / f"{role}.pt"
    if isinstance(module, torch.jit.ScriptModule):
        _save(module, path)
    else:
        _check_file(Path(module), role)
        shutil.copyfile(module, path)
    entry = {"file": path.name, "sha256": digest_file(path), "dtypes": ["float32"], **given}
    if "tokenizer" in given:
        tokenizer = folder / f"{role}.tokenizer.json"
        if isinstance(given["tokenizer"], Mapping):
            tokenizer.write_text(json.dumps(given["tokenizer"], ensure_ascii=False), encoding="utf-8")
        else:
            shutil.copyfile(given["tokenizer"], tokenizer)
        entry["tokenizer"] = {"file": tokenizer.name, "sha256": digest_file(tokenizer)}
    return entry


def _check_file(path: Path, role: str) -> None:
    """Refuse what is often taken for TorchScript, and tell what it is."""
    size = path.stat().st_size
    with path.open("rb") as file:
        begin = file.read(10)
    problem = not_fetched(path)
    if not begin:
        problem = "an empty file"
    elif begin.startswith(b"\x80"):
        problem = _PICKLED
    elif begin.startswith(b"PK") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if not any(name.endswith("constants.pkl") for name in archive.namelist()):
                problem = _PICKLED
    elif begin[8:10] == b'{"' and int.from_bytes(begin[:8], "little") < size:
        problem = "weights without code (safetensors)"
    if problem is not None:
        raise ValueError(
            f"[{_WHERE}] a network's file must be TorchScript, as torch.jit.save writes it; got {problem} for {role!r} "
            f"in {path}: give torch.jit.script(network)"
        )


def _stage(number: int, given: dict[str, Any], folder: Path) -> dict[str, Any]:
    name = given.get("name")
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(
            f"[{_WHERE}] a stage must have a name of letters, digits and '_'; got {name!r} for stage {number}"
        )
    methods = _FRAME_METHODS if given.get("family") == "frames" else ["init_state", "extend"]
    return _entry(name, {"methods": methods, **given}, folder)


def _save(module: torch.jit.ScriptModule, path: Path) -> None:
    """Write a network without what depends on the machine: the same network gives the same bytes.

    What torch saves beside the network are the paths and lines of its source, and an id made of these. The constants of
    a class come in the order of a Python set, which differs from process to process. Nothing but one tensor at a time
    is held in memory.
    """
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=path.parent) as folder:
        whole = Path(folder) / "archive.pt"  # its name is that of the folder inside
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
            torch.jit.save(module, str(whole))
        # Weights hardly shrink; large ones are stored as they are, which opens faster.
        kind = zipfile.ZIP_DEFLATED if whole.stat().st_size < _LARGE else zipfile.ZIP_STORED
        with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(path, "w", kind) as kept:
            for item in archive.infolist():
                if not item.filename.endswith((".debug_pkl", "/serialization_id")):
                    content = archive.read(item)
                    if item.filename.endswith(".py"):
                        content = _CONSTANTS.sub(lambda found: b"".join(sorted(found[0].splitlines(True))), content)
                    kept.writestr(zipfile.ZipInfo(item.filename), content, kind)


def _put(building: Path, target: Path) -> None:
    if not target.exists():
        building.rename(target)
        return
    former = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    target.rename(former / "bundle")
    try:
        building.rename(target)
    except OSError:
        (former / "bundle").rename(target)
        raise
    finally:
        shutil.rmtree(former, ignore_errors=True)
