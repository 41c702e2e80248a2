"""Checks of an exported model."""

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from zoo.testing.interpreter import run_job
from zoo.testing.subject import Subject, compare, outputs, skip

__all__ = ["check_onnx", "check_runner"]

BATCHES = (1, 7, 1000)
#: Largest difference by dtype of the graph, in units of the largest output.
TOLERANCES = {"float32": 1e-4, "float64": 1e-9}
#: What a deployer does not have.
ABSENT = ("torch", "sklearn", "scipy", "skorch", "skl2onnx", "sympy", "pandas", "safetensors")


def _require_export(subject: Subject, task: str) -> None:
    subject.data(task)
    if subject.entry.spec.exporter is None:
        skip(f"the model {subject.entry.spec.name!r} has no exporter")
    if importlib.util.find_spec("onnxruntime") is None:
        skip("onnxruntime is not installed: pip install 'zoo-estimators[onnx]'")


def check_onnx(subject: Subject, task: str) -> None:
    """The exported graph gives the model's predictions, for batches of 1, 7 and 1000 rows."""
    _require_export(subject, task)
    model = subject.fitted(task)
    X, _ = subject.data(task, max(BATCHES))
    with tempfile.TemporaryDirectory() as parent:
        for dtype, tolerance in TOLERANCES.items():
            folder = model.export_onnx(Path(parent, dtype), X[:100], dtype=dtype)
            runner = zoo.load_onnx(folder, device="cpu")
            for size in BATCHES:
                wanted = outputs(model, X[:size])
                compare(
                    outputs(runner, X[:size], wanted),
                    wanted,
                    f"{dtype} graph and model, {size} rows",
                    tolerance=tolerance,
                )


def check_runner(subject: Subject, task: str) -> None:
    """The exported folder runs in an interpreter that has onnxruntime and numpy alone."""
    _require_export(subject, task)
    model: Any = subject.fitted(task)
    X, _ = subject.data(task)
    with tempfile.TemporaryDirectory() as parent:
        folder = model.export_onnx(Path(parent, "model"), X)
        np.save(Path(parent, "X.npy"), X)
        wanted = outputs(model, X)
        run_job(
            "run",
            block=ABSENT,
            folder=folder,
            X=Path(parent, "X.npy"),
            out=Path(parent, "out.npz"),
            verbs=list(wanted),
        )
        with np.load(Path(parent, "out.npz")) as found:
            tolerance = TOLERANCES["float32"]
            compare(dict(found), wanted, "runner without torch and model", tolerance=tolerance)
