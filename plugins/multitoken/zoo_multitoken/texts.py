"""What ``fit`` and ``score`` are given, as a list of texts."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from zoo.errors import SourceError

__all__ = ["INPUTS", "read_texts"]

INPUTS = ("content", "filename", "folder")


def read_texts(
    X: Any, *, input: str = "content", column: str | None = None, pattern: str = "*"
) -> list[str | bytes]:
    """Read texts.

    Parameters
    ----------
    X : iterable or path-like
        With ``input="content"``: str or bytes each, from a list, an array, an iterator or, with
        ``column``, rows that are mappings. With ``"filename"``: paths of files. With ``"folder"``:
        one path, whose files are read in the order of their names, those of folders inside it too.
    input : {"content", "filename", "folder"}, default="content"
        What ``X`` is.
    column : str, optional
        The field of each row that holds the text, as in a Hugging Face dataset.
    pattern : str, default="*"
        With ``"folder"``: which files, such as ``"*.py"``.

    Returns
    -------
    list of str or bytes
        Files are read as bytes.

    Raises
    ------
    TypeError
        If it is something else, such as one string.
    ValueError
        If a parameter is not what it may be, or there is no text.
    zoo.errors.SourceError
        If there is no such file or folder.
    """
    if input not in INPUTS:
        raise ValueError(f"input must be one of {', '.join(INPUTS)}. Got {input!r}.")
    if input == "folder":
        return _of_folder(X, pattern)
    if isinstance(X, (str, bytes, bytearray, os.PathLike)) or not isinstance(X, Iterable):
        raise TypeError(
            f"X must be an iterable of texts, such as a list, or a folder with input='folder'. "
            f"Got {type(X).__name__}."
        )
    texts: list[str | bytes]
    if input == "filename":
        texts = [_of_file(path) for path in X]
    else:
        texts = [_text(_field(row, column), index) for index, row in enumerate(X)]
    if not texts:
        raise ValueError("X must hold at least one text. Got none.")
    return texts


def _field(row: Any, column: str | None) -> Any:
    if column is None:
        return row
    try:
        return row[column]
    except (KeyError, IndexError, TypeError):
        raise ValueError(f"Every row of X must have the column {column!r}. Got {row!r}.") from None


def _text(value: Any, index: int) -> str | bytes:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"Text {index} of X must be str or bytes. Got {type(value).__name__}.")


def _of_file(path: Any) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SourceError(f"Cannot read the text {path}: {error.strerror}.") from error


def _of_folder(folder: Any, pattern: str) -> list[str | bytes]:
    if not isinstance(folder, (str, os.PathLike)):
        raise TypeError(
            f"X must be the path of a folder where input='folder'. Got {type(folder).__name__}."
        )
    root = Path(os.path.expanduser(folder))
    if not root.is_dir():
        raise SourceError(f"Cannot read texts from {root}: there is no such folder.")
    files = sorted(path for path in root.rglob(pattern) if path.is_file())
    if not files:
        raise ValueError(f"The folder {root} must hold files that match {pattern!r}. Got none.")
    return [_of_file(path) for path in files]
