"""Files on disk: whole folders written or not at all, members checked before they are read."""

import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from zoo.errors import FolderExistsError, FormatError

__all__ = ["atomic_folder", "checked_member", "read_json", "sha256"]


@contextmanager
def atomic_folder(
    path: str | os.PathLike[str], *, overwrite: bool = False, marker: str | None = None
) -> Iterator[Path]:
    """Write a folder that in the end is whole or absent.

    The body writes into a temporary sibling. When it ends, every file is flushed to disk and the
    sibling is renamed into place; when it raises, the sibling is removed and what was at ``path``
    before is untouched.

    Parameters
    ----------
    path : path-like
        The folder to write. Missing parents are created, a symlink is followed.
    overwrite : bool, default=False
        Replace a folder that is there. An empty folder is always replaced, a file never.
    marker : str or None, default=None
        Only replace a folder that holds a file of this name, so that a slip of the caller cannot
        delete something else.

    Yields
    ------
    pathlib.Path
        The temporary folder, empty.

    Raises
    ------
    zoo.errors.FolderExistsError
        Something is at ``path`` that may not be replaced.
    """
    target = Path(os.path.realpath(os.path.expanduser(os.fspath(path))))
    _check_replaceable(target, overwrite=overwrite, marker=marker)
    created = [parent for parent in target.parents if not parent.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    # mkdir, unlike tempfile.mkdtemp, gives the permissions the user's umask asks for.
    sibling = target.parent / f".{target.name}.{secrets.token_hex(4)}.new"
    sibling.mkdir()
    try:
        yield sibling
        _flush(sibling)
        _check_replaceable(target, overwrite=overwrite, marker=marker)
        _swap(sibling, target)
    except BaseException:
        shutil.rmtree(sibling, ignore_errors=True)
        for parent in created:
            with suppress(OSError):
                parent.rmdir()
        raise
    _flush_directory(target.parent)


def _check_replaceable(target: Path, *, overwrite: bool, marker: str | None) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise FolderExistsError(f"Cannot write the folder {target}: a file is in its place.")
    if not any(target.iterdir()):
        return
    if not overwrite:
        raise FolderExistsError(
            f"The folder {target} exists and is not empty: pass overwrite=True to replace it."
        )
    if marker is not None and not (target / marker).is_file():
        raise FolderExistsError(
            f"The folder {target} holds no {marker}, so it was not written by the zoo "
            f"and is not replaced."
        )


def _swap(sibling: Path, target: Path) -> None:
    if not target.exists():
        sibling.rename(target)
        return
    old = target.parent / f".{target.name}.{secrets.token_hex(4)}.old"
    target.rename(old)
    try:
        sibling.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _flush(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(root, name), "rb") as file:
                os.fsync(file.fileno())
        _flush_directory(Path(root))


def _flush_directory(folder: Path) -> None:
    # Windows cannot open a directory; there the rename alone has to do.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked_member(
    folder: str | os.PathLike[str],
    name: str,
    *,
    max_bytes: int | None = None,
    links_within: str | os.PathLike[str] | None = None,
) -> Path:
    """Path of a file inside a folder, refused unless it really lies there.

    Parameters
    ----------
    folder : path-like
        The folder. It may itself be reached through a symlink.
    name : str
        Relative name with ``/`` between its parts.
    max_bytes : int or None, default=None
        Largest size that is accepted.
    links_within : path-like or None, default=None
        Accept a symlink when what it leads to lies in this folder (the cache of a hub stores its
        files this way). ``None`` refuses every symlink.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    zoo.errors.FormatError
        The name is absolute or leaves the folder, a symlink is on the way, or there is no regular
        file of at most ``max_bytes``.
    """
    root = Path(folder)
    parts = _relative_parts(root, name)
    path = root
    for part in parts:
        path = path / part
        if not path.is_symlink():
            continue
        if links_within is None:
            raise FormatError(f"The file {name!r} of {root} is behind a symlink, which is refused.")
        if not path.resolve().is_relative_to(Path(links_within).resolve()):
            raise FormatError(
                f"The file {name!r} of {root} is a symlink to a place outside {links_within}."
            )
    try:
        status = path.stat()
    except (OSError, ValueError):
        raise FormatError(f"The folder {root} has no file {name!r}.") from None
    if not stat.S_ISREG(status.st_mode):
        raise FormatError(f"The member {name!r} of {root} is not a regular file.")
    if max_bytes is not None and status.st_size > max_bytes:
        raise FormatError(
            f"The file {name!r} of {root} must have at most {max_bytes} bytes. "
            f"Got {status.st_size}."
        )
    return path


def _relative_parts(root: Path, name: object) -> tuple[str, ...]:
    if not isinstance(name, str) or not name or "\0" in name:
        raise FormatError(f"The name of a file in {root} must be a non-empty str. Got {name!r}.")
    parts = PurePosixPath(name).parts
    if (
        name.startswith("/")
        or "\\" in name
        or PureWindowsPath(name).drive
        or ".." in parts
        or not parts
    ):
        raise FormatError(
            f"The name of a file in {root} must be relative, with '/' between its parts, "
            f"and stay inside. Got {name!r}."
        )
    return parts


def read_json(path: str | os.PathLike[str], *, max_bytes: int = 16 * 2**20) -> dict[str, Any]:
    """Read a JSON object strictly.

    Parameters
    ----------
    path : path-like
        The file.
    max_bytes : int, default=16 MiB
        Largest size that is read.

    Returns
    -------
    dict
        The object.

    Raises
    ------
    zoo.errors.FormatError
        The file is larger, is not UTF-8 JSON, holds NaN or an infinity, says a key twice, or is
        something else than an object.
    """
    with open(path, "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise FormatError(f"The file {path} must have at most {max_bytes} bytes. Got more.")
    try:
        value = json.loads(
            content.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
            object_pairs_hook=_unique_keys,
        )
    except RecursionError:
        raise FormatError(f"The file {path} is not valid JSON: it is nested too deeply.") from None
    except ValueError as error:
        raise FormatError(f"The file {path} is not valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise FormatError(f"The file {path} must hold a JSON object. Got a {type(value).__name__}.")
    return value


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


def _finite_float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is too large for a float")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return value
