"""A fitted table as a folder: columns, preparation and model, read without running code from it.

``run.json`` holds the schema, the scores and a SHA-256 of every other file; ``preprocess.skops``
the fitted preparation of the columns; ``model/`` what the model's ``save_pretrained`` writes.
"""

import json
import os
import platform
import warnings
import zipfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from zoo.errors import FormatError, IntegrityError, ParameterError, SourceError
from zoo.files import atomic_folder, checked_member, read_json, sha256
from zoo.persistence import PretrainedMixin, load_pretrained
from zoo.registry import registry
from zoo.table.pipeline import make_pipeline
from zoo.table.schema import Schema
from zoo.table.scores import Score

__all__ = ["RUN_FILE", "Run", "check_savable"]

FORMAT_VERSION = 1
RUN_FILE = "run.json"
_PREPROCESS = "preprocess.skops"
_MODEL = "model"
_MAX_PREPROCESS_BYTES = 256 * 2**20
# What skops does not trust by itself; a fitted ColumnTransformer of ours holds nothing else.
_TRUSTED = ["numpy.dtype"]
_KEYS = {
    "format_version": int,
    "model": str,
    "schema": dict,
    "scores": list,
    "rows": dict,
    "versions": dict,
    "sha256": dict,
}


@dataclass
class Run:
    """What ``zoo fit`` made of a table.

    Attributes
    ----------
    pipeline : sklearn.pipeline.Pipeline
        Fitted steps ``"columns"`` and ``"model"``; takes what ``schema.conform`` returns.
    schema : Schema
        The table's columns.
    scores : list of Score
        On the held-out rows; empty when none were held out.
    n_train, n_test : int
        Rows that were fitted to and rows that were held out.
    """

    pipeline: Pipeline
    schema: Schema
    scores: list[Score] = field(default_factory=list)
    n_train: int = 0
    n_test: int = 0

    @property
    def estimator(self) -> Any:
        """The fitted model behind the preparation of the columns."""
        return self.pipeline["model"]

    @property
    def columns(self) -> ColumnTransformer:
        """The fitted preparation of the columns."""
        return self.pipeline["columns"]

    def inputs(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        """What the model sees of a table.

        Parameters
        ----------
        frame : pandas.DataFrame of shape (n_rows, n_any_columns)
            A table with the columns of the schema.

        Returns
        -------
        X : pandas.DataFrame of shape (n_rows, n_features)
            Imputed numbers and indicators, named by ``schema.feature_names``.
        notices : list of str
            See `Schema.conform`.
        """
        X, notices = self.schema.conform(frame)
        names = self.schema.feature_names
        return pd.DataFrame(self.columns.transform(X), columns=names, index=frame.index), notices

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the run, whole or not at all.

        Parameters
        ----------
        folder : path-like
            Where to.
        overwrite : bool, default=False
            Replace a run that is there.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        zoo.errors.FolderExistsError
            The folder exists, and ``overwrite`` is false or it holds no run.
        zoo.errors.ParameterError
            The model has no ``save_pretrained``.
        """
        check_savable(self.estimator)
        with atomic_folder(folder, overwrite=overwrite, marker=RUN_FILE) as sibling:
            self.estimator.save_pretrained(sibling / _MODEL)
            skops.io.dump(self.columns, sibling / _PREPROCESS)
            files = sorted(path for path in sibling.rglob("*") if path.is_file())
            record = self._record(
                {path.relative_to(sibling).as_posix(): sha256(path) for path in files}
            )
            text = json.dumps(record, indent=2, allow_nan=False)
            (sibling / RUN_FILE).write_text(text + "\n", encoding="utf-8")
        return Path(folder)

    def _record(self, hashes: dict[str, str]) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "model": registry().owner_of(type(self.estimator))[0].qualified_name,
            "schema": self.schema.to_json(),
            "scores": [
                {
                    "name": score.name,
                    "value": score.value,
                    "baseline": score.baseline,
                }
                for score in self.scores
            ],
            "rows": {"train": self.n_train, "test": self.n_test},
            "versions": {
                "python": platform.python_version(),
                **{
                    name: version(name)
                    for name in ("zoo-estimators", "numpy", "pandas", "scikit-learn", "skops")
                },
            },
            "sha256": hashes,
        }

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Run":
        """Read a run.

        Parameters
        ----------
        folder : path-like
            What `save` wrote.

        Returns
        -------
        Run
            It predicts the same numbers as the saved one, bit for bit.

        Warns
        -----
        UserWarning
            It was saved by another major or minor version of scikit-learn or of the plugin.

        Raises
        ------
        zoo.errors.SourceError
            There is no such folder.
        zoo.errors.FormatError
            The folder holds something else, is damaged, or asks for a type that is not trusted.
        """
        root = Path(folder)
        record = _read_record(root)
        for name in record["sha256"]:
            if sha256(checked_member(root, name)) != record["sha256"][name]:
                raise IntegrityError(
                    f"The sha256 of {root / name} is not the one recorded in {RUN_FILE}."
                )
        _warn_of_version(root, record)
        schema = Schema.from_json(record["schema"])
        scores, n_train, n_test = _read_scores(root, record)
        estimator = load_pretrained(root / _MODEL)
        pipeline = make_pipeline(schema, estimator)
        columns = _read_columns(root)
        _check_prepares(root, expected=pipeline["columns"], columns=columns)
        _check_fits(root, schema, estimator)
        pipeline.set_params(columns=columns)
        return cls(pipeline=pipeline, schema=schema, scores=scores, n_train=n_train, n_test=n_test)


def check_savable(estimator: Any) -> None:
    """Refuse a model that a run could not be saved with.

    Parameters
    ----------
    estimator : estimator
        Fitted or not.

    Raises
    ------
    zoo.errors.ParameterError
        It has no ``save_pretrained``.
    """
    if not isinstance(estimator, PretrainedMixin):
        raise ParameterError(
            f"The model {type(estimator).__name__} cannot be saved in a run: "
            f"it is no PretrainedMixin."
        )


def _read_record(root: Path) -> dict[str, Any]:
    if not root.is_dir():
        what = "it is a file" if root.exists() else "there is no such folder"
        raise SourceError(f"Cannot read a run from {root}: {what}.")
    if not (root / RUN_FILE).is_file():
        raise FormatError(
            f"The folder {root} is no run: it has no {RUN_FILE}, which zoo fit writes.{_kin(root)}"
        )
    record = read_json(checked_member(root, RUN_FILE))
    found = record.get("format_version")
    if type(found) is not int or found != FORMAT_VERSION:
        raise FormatError(
            f"The format_version in {root / RUN_FILE} must be {FORMAT_VERSION}, the one that this "
            f"version of zoo reads. Got {found!r}."
        )
    for key, kind in _KEYS.items():
        if not isinstance(record.get(key), kind):
            raise FormatError(f"The {key} in {root / RUN_FILE} must be a {kind.__name__}.")
    lacking = {_PREPROCESS, f"{_MODEL}/config.json"} - set(record["sha256"])
    if lacking:
        raise FormatError(
            f"The sha256 in {root / RUN_FILE} must cover {', '.join(sorted(lacking))}."
        )
    return record


def _kin(root: Path) -> str:
    if (root / "zoo.json").is_file():
        return " It is an exported model: use zoo run."
    if (root / "config.json").is_file():
        return " It is a saved model without a table: use zoo.load."
    return ""


def _warn_of_version(root: Path, record: dict[str, Any]) -> None:
    saved, installed = record["versions"].get("scikit-learn"), version("scikit-learn")
    if str(saved).split(".")[:2] != installed.split(".")[:2]:
        warnings.warn(
            f"The run {root} was saved with scikit-learn {saved}, and {installed} is installed: "
            f"its columns may be prepared differently.",
            UserWarning,
            stacklevel=3,
        )


def _read_scores(root: Path, record: dict[str, Any]) -> tuple[list[Score], int, int]:
    try:
        scores = [
            Score(
                name=str(score["name"]),
                value=float(score["value"]),
                baseline=float(score["baseline"]),
            )
            for score in record["scores"]
        ]
        return scores, int(record["rows"]["train"]), int(record["rows"]["test"])
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"The scores in {root / RUN_FILE} are malformed: {error!r}.") from error


def _read_columns(root: Path) -> ColumnTransformer:
    path = checked_member(root, _PREPROCESS, max_bytes=_MAX_PREPROCESS_BYTES)
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > _MAX_PREPROCESS_BYTES:
            raise FormatError(
                f"The file {path} must unpack to at most {_MAX_PREPROCESS_BYTES} bytes. "
                f"Got {unpacked}."
            )
        # Every type in the file is listed before any is built.
        strange = sorted(set(skops.io.get_untrusted_types(file=path)) - set(_TRUSTED))
        if strange:
            raise FormatError(f"The file {path} asks for types that are refused: {strange}.")
        columns = skops.io.load(path, trusted=_TRUSTED)
    except FormatError:
        raise
    except Exception as error:  # a damaged archive raises whatever its first bad byte leads to
        raise FormatError(
            f"The file {path} is not a preparation of columns: {type(error).__name__}: {error}."
        ) from error
    if type(columns) is not ColumnTransformer:
        raise FormatError(
            f"The file {path} must hold a ColumnTransformer. Got a {type(columns).__name__}."
        )
    return columns


def _check_prepares(root: Path, *, expected: ColumnTransformer, columns: ColumnTransformer) -> None:
    def shape(transformer: ColumnTransformer) -> list[tuple[str, type, list[str]]]:
        return [(name, type(step), list(cols)) for name, step, cols in transformer.transformers]

    if shape(columns) != shape(expected):
        raise FormatError(
            f"The preparation of columns in {root} does not belong to the schema in {RUN_FILE}."
        )


def _check_fits(root: Path, schema: Schema, estimator: Any) -> None:
    wanted = len(schema.feature_names)
    if estimator.n_features_in_ != wanted:
        raise FormatError(
            f"The model in {root} has {estimator.n_features_in_} inputs, "
            f"and the schema in {RUN_FILE} gives {wanted}."
        )
