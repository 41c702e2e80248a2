"""Checks of an exported model."""

import importlib.util
import tempfile
from pathlib import Path

import numpy as np

import zoo
from zoo.testing.interpreter import run_job
from zoo.testing.subject import Subject, compare, outputs, skip

__all__ = ["check_onnx", "check_runner"]

#: What a deployer does not have.
ABSENT = ("torch", "sklearn", "scipy", "skorch", "skl2onnx", "sympy", "pandas", "safetensors")


def _require_export(subject: Subject, task: str) -> None:
    subject.task(task)
    if subject.entry.spec.exporter is None:
        skip(f"the model {subject.entry.spec.name!r} has no exporter")
    if importlib.util.find_spec("onnxruntime") is None:
        skip("onnxruntime is not installed: pip install 'zoo-estimators[onnx]'")


def check_onnx(subject: Subject, task: str) -> None:
    """The exported graph gives the model's predictions, alone and in batches."""
    _require_export(subject, task)
    model, about = subject.fitted(task), subject.task(task)
    X, _ = subject.data(task, max(about.sizes))
    with tempfile.TemporaryDirectory() as parent:
        for dtype, tolerance in about.dtypes.items():
            folder = model.export_onnx(Path(parent, dtype), X[:100], dtype=dtype)
            runner = zoo.load_onnx(folder, device="cpu")
            for size in about.sizes:
                wanted = outputs(model, X[:size], task, about.deployed)
                compare(
                    outputs(runner, X[:size], task, set(wanted)),
                    wanted,
                    f"{dtype} graph and model, {size} rows",
                    tolerance=tolerance,
                )


def check_runner(subject: Subject, task: str) -> None:
    """The exported folder runs in an interpreter that has onnxruntime and numpy alone."""
    _require_export(subject, task)
    model, about = subject.fitted(task), subject.task(task)
    X, _ = subject.data(task)
    with tempfile.TemporaryDirectory() as parent:
        folder = model.export_onnx(Path(parent, "model"), X)
        np.save(Path(parent, "X.npy"), X)
        wanted = outputs(model, X, task, about.deployed)
        run_job(
            "run",
            block=ABSENT,
            folder=folder,
            X=Path(parent, "X.npy"),
            out=Path(parent, "out.npz"),
            questions={
                name: [about.questions[name].verb, dict(about.questions[name].options)]
                for name in wanted
            },
        )
        with np.load(Path(parent, "out.npz")) as found:
            compare(
                dict(found),
                wanted,
                "runner without torch and model",
                tolerance=about.dtypes["float32"],
            )
