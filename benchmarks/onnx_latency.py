"""Latency of a fitted pipeline in scikit-learn and of the same pipeline in onnxruntime.

Both run in this process, on the same rows, and take turns, so that a slow moment of the machine
hits both. ``runner`` is `zoo.load_onnx`, which checks and casts the table, as a user would call it;
``session`` is the bare graph on inputs that are ready. numpy and ``session`` have one thread each,
``runner`` has what onnxruntime takes by default. Reported are medians, in microseconds, and how
many times faster than scikit-learn each is.

    python benchmarks/onnx_latency.py [--runs 200] [--dtype float32]
"""

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

import zoo
from zoo.onnx import export_pipeline
from zoo.onnx.session import open_session

BATCHES = (1, 1024)
SMALL: dict[str, Any] = {"hidden": (4,), "grid": 8, "max_iter": 5, "random_state": 0}


def numbers(n_samples: int) -> tuple[pd.DataFrame, np.ndarray]:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(n_samples, 8))
    return pd.DataFrame(X, columns=list("abcdefgh")), np.sin(X[:, 0]) + X[:, 1] * X[:, 2]


def mixed(n_samples: int) -> tuple[pd.DataFrame, np.ndarray]:
    frame, y = numbers(n_samples)
    words = np.random.default_rng(1).choice(["red", "green", "blue"], n_samples)
    return frame.assign(colour=words), np.where(y + (words == "red") > 0, "yes", "no")


def pipelines() -> dict[str, tuple[Any, Any, Any]]:
    """Name to fitted pipeline, rows as scikit-learn takes them, and the verb."""
    frame, y = numbers(max(BATCHES))
    X = frame.to_numpy()
    regression = make_pipeline(StandardScaler(), zoo.load("kan", **SMALL)).fit(X, y)
    table, labels = mixed(max(BATCHES))
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), list("abcdefgh")),
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["colour"]),
        ]
    )
    classifier = zoo.load("kan", task="classification", **SMALL)
    classification = make_pipeline(columns, classifier).fit(table, labels)
    return {
        "scaler, KAN regressor": (regression, X, "predict"),
        "columns, KAN classifier": (classification, table, "predict_proba"),
    }


def take_turns(calls: dict[str, Callable[[], Any]], runs: int) -> dict[str, float]:
    """Median microseconds of each call."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(runs + 5):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            elapsed = 1e6 * (time.perf_counter() - start)
            if turn >= 5:
                times[name].append(elapsed)
    return {name: statistics.median(values) for name, values in times.items()}


def measure(pipeline: Any, rows: Any, verb: str, dtype: str, runs: int) -> dict[int, Any]:
    with tempfile.TemporaryDirectory() as parent:
        runner = zoo.load_onnx(export_pipeline(pipeline, rows, Path(parent, "out"), dtype=dtype))
        session = open_session(runner.bundle.graph(), device="cpu", threads=1)
    output = "prediction" if verb == "predict" else "probabilities"
    found = {}
    for batch in BATCHES:
        part = rows[:batch]
        feeds = runner.feeds(part)
        calls: dict[str, Callable[[], Any]] = {
            "scikit-learn": lambda part=part: getattr(pipeline, verb)(part),
            "runner": lambda part=part: getattr(runner, verb)(part),
            "session": lambda feeds=feeds: session.run([output], feeds),
        }
        found[batch] = take_turns(calls, runs)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    options = parser.parse_args()
    # A handful of iterations: what is timed is predicting.
    warnings.simplefilter("ignore", ConvergenceWarning)
    sides = ("scikit-learn", "runner", "session")
    heads = "".join(f"{side + ' us':>17}" for side in sides)
    print(f"{'pipeline':<26}{'batch':>6}{heads}{'runner x':>10}{'session x':>11}")
    results = []
    for name, (pipeline, rows, verb) in pipelines().items():
        with threadpool_limits(limits=1):
            found = measure(pipeline, rows, verb, options.dtype, options.runs)
        for batch, medians in found.items():
            ratios = {side: medians["scikit-learn"] / medians[side] for side in sides[1:]}
            cells = "".join(f"{medians[side]:>17.1f}" for side in sides)
            print(f"{name:<26}{batch:>6}{cells}{ratios['runner']:>10.1f}{ratios['session']:>11.1f}")
            results.append(
                {
                    "pipeline": name,
                    "batch": batch,
                    "median_us": {side: round(medians[side], 1) for side in sides},
                    "times_faster": {side: round(ratio, 1) for side, ratio in ratios.items()},
                }
            )
    print(
        json.dumps(
            {
                "benchmark": "onnx_latency",
                "dtype": options.dtype,
                "runs": options.runs,
                "results": results,
            }
        )
    )


if __name__ == "__main__":
    main()
