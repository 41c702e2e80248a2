"""
A whole pipeline as one ONNX graph
==================================

Imputation, categories, a network and string labels become one graph that onnxruntime runs without
torch and without scikit-learn.
"""

# %%
# A pipeline
# ----------

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

import zoo
import zoo.onnx

rng = np.random.default_rng(0)
X = pd.DataFrame(
    {
        "length": rng.uniform(1, 5, 400),
        "width": rng.uniform(0.5, 2, 400),
        "site": rng.choice(["north", "south", "west"], 400),
    }
)
area = X["length"] * X["width"] + (X["site"] == "west") * 2
y = np.where(area + rng.normal(0, 0.3, 400) > 5, "large", "small")
X.loc[rng.random(400) < 0.05, "width"] = np.nan

columns = ColumnTransformer(
    [("numbers", SimpleImputer(), ["length", "width"]), ("site", OneHotEncoder(), ["site"])]
)
model = zoo.load("kan", task="classification", random_state=0)
pipeline = Pipeline([("columns", columns), ("kan", model)]).fit(X, y)
print(f"accuracy {pipeline.score(X, y):.3f}")

# %%
# Export
# ------
# The graph is compared with the pipeline before the folder appears.

scratch = tempfile.TemporaryDirectory()
folder = zoo.onnx.export_pipeline(pipeline, X, Path(scratch.name) / "sizes")
for path in sorted(folder.iterdir()):
    print(f"{path.name:12s} {path.stat().st_size / 1024:6.1f} KiB")

# %%
# Run
# ---
# The runner takes data frames, dicts of columns and arrays, and gives the labels back.

runner = zoo.load_onnx(folder)
print(runner.classes_, runner.feature_names_in_)
print(runner.predict(X.head(3)))
worst = np.abs(runner.predict_proba(X) - pipeline.predict_proba(X)).max()
print(f"largest difference of a probability: {worst:.1e}")

# %%
# One row at a time, as a service would


def microseconds(predict, row):
    predict(row)
    start = time.perf_counter()
    for _ in range(50):
        predict(row)
    return (time.perf_counter() - start) / 50 * 1e6


row = X.head(1)
print(f"pipeline    {microseconds(pipeline.predict_proba, row):8.0f} µs")
print(f"onnxruntime {microseconds(runner.predict_proba, row):8.0f} µs")

# %%
scratch.cleanup()
