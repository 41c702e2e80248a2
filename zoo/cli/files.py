"""Output folders, looked at before a long computation instead of after it."""

import os
from pathlib import Path

from zoo.errors import FolderExistsError, SourceError

__all__ = ["check_output_file", "check_output_folder"]


def check_output_folder(folder: Path, *, overwrite: bool, marker: str) -> None:
    """Refuse a folder that could not be written later.

    Parameters
    ----------
    folder : pathlib.Path
        Where a command is to write.
    overwrite : bool
        Whether ``--overwrite`` was given.
    marker : str
        The file that a folder must hold to be replaced.

    Raises
    ------
    zoo.errors.FolderExistsError
        It is a file, or a folder that may not be replaced.
    zoo.errors.SourceError
        Its parent is no folder or cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise FolderExistsError(f"Cannot write the folder {folder}: a file is in its place.")
    if folder.is_dir() and any(folder.iterdir()):
        if not overwrite:
            raise FolderExistsError(
                f"The folder {folder} exists and is not empty; --overwrite replaces it."
            )
        if not (folder / marker).is_file():
            raise FolderExistsError(
                f"The folder {folder} holds no {marker}, so this command did not write it "
                f"and does not replace it."
            )
    _check_parent(folder)


def check_output_file(file: Path) -> None:
    """Refuse a file that could not be written later.

    Parameters
    ----------
    file : pathlib.Path
        Where a command is to write.

    Raises
    ------
    zoo.errors.SourceError
        It is a folder, or its parent is none or cannot be written to.
    """
    if file.is_dir():
        raise SourceError(f"Cannot write the file {file}: a folder is in its place.")
    if not file.parent.is_dir():
        raise SourceError(f"Cannot write the file {file}: there is no folder {file.parent}.")
    _check_parent(file)


def _check_parent(path: Path) -> None:
    try:
        parent = next(parent for parent in path.absolute().parents if parent.exists())
    except OSError as error:
        raise SourceError(f"Cannot write {path}: {error.strerror}.") from error
    if not parent.is_dir():
        raise SourceError(f"Cannot write {path}: {parent} is a file.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise SourceError(f"Cannot write {path}: the folder {parent} is not writable.")
