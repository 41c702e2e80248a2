"""Write predictions as a table."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from zoo.errors import DataError

__all__ = ["prediction_table", "write_table"]


def prediction_table(
    prediction: np.ndarray,
    *,
    probabilities: np.ndarray | None = None,
    classes: Sequence[object] = (),
) -> pd.DataFrame:
    """One row for each row that was predicted.

    Parameters
    ----------
    prediction : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Values or labels.
    probabilities : ndarray of shape (n_rows, n_classes) or None, default=None
        Of each class.
    classes : sequence of object of length n_classes, default=()
        Their labels.

    Returns
    -------
    pandas.DataFrame of shape (n_rows, 1 + n_classes)
        Column ``prediction`` (``prediction_0`` and so on for several outputs), then
        ``probability of LABEL`` for each class.
    """
    columns: dict[str, np.ndarray] = {}
    if prediction.ndim == 1:
        columns["prediction"] = prediction
    else:
        columns = {f"prediction_{i}": column for i, column in enumerate(prediction.T)}
    if probabilities is not None:
        for label, column in zip(classes, probabilities.T, strict=True):
            columns[f"probability of {label}"] = column
    return pd.DataFrame(columns)


def write_table(frame: pd.DataFrame, to: str | os.PathLike[str] | IO[str]) -> None:
    """Write a table as CSV or Parquet, by the name of the file.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows to write; numbers are written with all their digits.
    to : path-like or text stream
        ``.csv``, ``.tsv`` or ``.parquet`` by its suffix; a stream gets CSV.

    Raises
    ------
    zoo.errors.DataError
        Another suffix, or the file cannot be written.
    """
    if not isinstance(to, str | os.PathLike):
        frame.to_csv(to, index=False)
        return
    file = Path(to)
    name = file.name.lower()
    try:
        if name.endswith((".parquet", ".pq")):
            frame.to_parquet(file, index=False)
        elif name.endswith((".csv", ".csv.gz", ".tsv", ".tsv.gz")):
            frame.to_csv(file, index=False, sep="\t" if ".tsv" in name else ",")
        else:
            raise DataError(
                f"The output {file} must be a .csv, .tsv or .parquet file by its name. "
                f"Got {file.suffix or 'no suffix'}."
            )
    except OSError as error:
        raise DataError(f"The output {file} cannot be written: {error.strerror or error}.") from (
            error
        )
