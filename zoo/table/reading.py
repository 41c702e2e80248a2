"""Read a table from a file: CSV, TSV or Parquet."""

import codecs
import csv
import gzip
import io
import os
import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from zoo.errors import DataError, MissingDependencyError, SourceError
from zoo.targets import did_you_mean

__all__ = ["read_table"]

_TEXT = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_PARQUET = (".parquet", ".pq")
# Enough for the first line of a table of some ten thousand columns.
_SAMPLE = 1 << 20
_SEPARATORS = ",;\t|"
# What the first bytes of files that are often mistaken for tables say.
_FORMATS = {
    b"PK\x03\x04": "an Excel workbook or a zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF",
    b"\x89PNG": "an image",
}


def read_table(
    path: str | os.PathLike[str], *, encoding: str = "utf-8", text: Iterable[str] = ()
) -> pd.DataFrame:
    """Read a table.

    Parameters
    ----------
    path : path-like
        A ``.csv``, ``.tsv`` or ``.txt`` file, also with ``.gz`` behind it, or a ``.parquet`` file.
        The separator of a text file is taken from its first line: comma, semicolon, tab or bar.
    encoding : str, default="utf-8"
        Of text files.
    text : iterable of str, default=()
        Columns of a text file that are kept as text even where they look like numbers.

    Returns
    -------
    pandas.DataFrame
        At least one row, distinct column names, rows numbered from zero. A column without a name
        is called ``"Unnamed: i"``.

    Raises
    ------
    zoo.errors.SourceError
        There is no such file.
    zoo.errors.DataError
        The file is no table: a folder, empty, without rows, of another format, of another
        encoding, with rows of different lengths or with two columns of one name.
    zoo.errors.MissingDependencyError
        It is a Parquet file, and pyarrow is not installed.
    """
    file = Path(path)
    name = file.name.lower()
    _check_file(file)
    if name.endswith(_PARQUET):
        frame = _read_parquet(file)
    elif name.endswith(_TEXT):
        frame = _read_text(file, encoding=encoding, text=frozenset(text))
    else:
        raise DataError(
            f"The table {file} must be {', '.join((*_TEXT, *_PARQUET))} by its name. "
            f"Got {file.suffix or 'no suffix'}."
        )
    if len(frame) == 0:
        raise DataError(f"The table {file} has a header but no rows.")
    return frame


def _check_file(file: Path) -> None:
    if file.is_dir():
        raise DataError(f"The table {file} must be a file. Got a folder.")
    if not file.exists():
        try:
            siblings = [entry.name for entry in file.parent.iterdir() if entry.is_file()]
        except OSError:
            siblings = []
        raise SourceError(f"There is no file {file}.{did_you_mean(file.name, siblings)}")
    if file.is_file() and file.stat().st_size == 0:
        raise DataError(f"The table {file} is empty.")


def _read_parquet(file: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(file)
    except ImportError as error:
        raise MissingDependencyError(
            "Parquet tables need pyarrow, which is not installed: "
            "pip install 'zoo-estimators[table]'."
        ) from error
    except Exception as error:  # pyarrow raises its own types, ValueError and OSError
        raise DataError(f"The table {file} is not a readable Parquet file: {_line(error)}") from (
            error
        )
    named = any(level is not None for level in frame.index.names)
    frame = frame.reset_index(drop=not named)
    frame.columns = [str(column) for column in frame.columns]
    _check_names(file, list(frame.columns))
    return frame


def _read_text(file: Path, *, encoding: str, text: frozenset[str]) -> pd.DataFrame:
    # A byte order mark is no part of the first column's name.
    codec = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    sample = _sample(file, codec)
    try:
        separator, header = _header(sample, tab=".tsv" in file.name.lower())
    except csv.Error as error:
        raise DataError(f"The table {file} is not a readable text table: {_line(error)}") from error
    names = [column.strip() or f"Unnamed: {i}" for i, column in enumerate(header)]
    _check_names(file, names)
    options: dict[str, Any] = {
        "sep": separator,
        "encoding": codec,
        "header": 0,
        "names": names,
        "index_col": False,
        "skipinitialspace": True,
        "low_memory": False,
        "dtype": {column: "str" for column in names if column in text},
    }
    try:
        with warnings.catch_warnings():
            # pandas only warns when every row is longer than the header, and cuts them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(file, **options)
    except pd.errors.ParserWarning as error:
        raise DataError(
            f"The rows of {file} have more fields than its header, which names {len(names)}."
        ) from error
    except UnicodeDecodeError as error:
        raise _wrong_encoding(file, encoding, error) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        detail = _line(error).removeprefix("Error tokenizing data. C error: ")
        raise DataError(f"The table {file} is not a readable text table: {detail}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"The table {file} cannot be read: {_line(error)}") from error


def _sample(file: Path, codec: str) -> str:
    opener = gzip.open if file.name.lower().endswith(".gz") else open
    try:
        with opener(file, "rb") as stream:
            content = stream.read(_SAMPLE)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"The table {file} cannot be read: {_line(error)}") from error
    for magic, what in _FORMATS.items():
        if content.startswith(magic):
            raise DataError(f"The table {file} is not text: its bytes are those of {what}.")
    utf_16 = codec.lower().replace("_", "-").startswith(("utf-16", "utf-32"))
    if b"\0" in content and not utf_16:
        hint = (
            "; try --encoding utf-16"
            if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            else ""
        )
        raise DataError(f"The table {file} is not text: it holds zero bytes{hint}.")
    try:
        # The sample may end inside a character: an incremental decoder waits for the rest.
        decoder = codecs.getincrementaldecoder(codec)()
        sample = decoder.decode(content, final=len(content) < _SAMPLE)
    except LookupError as error:
        raise DataError(f"There is no encoding {codec!r}.") from error
    except UnicodeDecodeError as error:
        raise _wrong_encoding(file, codec, error) from error
    if not sample.strip():
        raise DataError(f"The table {file} is empty.")
    return sample


def _header(sample: str, *, tab: bool) -> tuple[str, list[str]]:
    separators = "\t,;|" if tab else _SEPARATORS
    candidates = []
    for separator in separators:
        rows = csv.reader(
            io.StringIO(sample, newline=""), delimiter=separator, skipinitialspace=True
        )
        candidates.append((separator, next(row for row in rows if row)))
    # max keeps the first of equals, so the separator that the suffix promises wins a draw.
    return max(candidates, key=lambda candidate: len(candidate[1]))


def _check_names(file: Path, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"The columns of {file} must have distinct names. "
            f"Got {', '.join(map(repr, twice))} more than once."
        )


def _wrong_encoding(file: Path, encoding: str, error: UnicodeDecodeError) -> DataError:
    byte = error.object[error.start]
    return DataError(
        f"The table {file} is not {encoding.removesuffix('-sig')} text: byte 0x{byte:02x} "
        f"is not valid there; say its encoding, for example --encoding latin-1."
    )


def _line(error: BaseException) -> str:
    words = str(error).strip().splitlines()
    return words[0].rstrip(".") + "." if words else f"{type(error).__name__}."
