"""Runs an exported folder where neither torch nor scikit-learn can be imported."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from zoo.errors import VerificationError
from zoo_kan.demo.chapter import OnnxRecord

__all__ = ["measure"]

_SCRIPT = """
import sys
for name in ("torch", "sklearn", "skl2onnx", "zoo_kan"):
    sys.modules[name] = None  # importing it raises ImportError
import time
from safetensors.numpy import load_file, save_file
import numpy as np
import zoo
folder, method, source, target = sys.argv[1:]
table = load_file(source)
runner = zoo.load_onnx(folder, device="cpu")
predict = getattr(runner, method)
predict(table)
start = time.perf_counter()
values = predict(table)
seconds = np.array(time.perf_counter() - start)
save_file({"values": np.ascontiguousarray(values), "seconds": seconds}, target)
"""


def measure(
    folder: Path,
    columns: dict[str, NDArray],
    method: str,
    reference: Callable[[], NDArray],
) -> OnnxRecord:
    """Compare an exported folder with the fitted pipeline it came from.

    Parameters
    ----------
    folder : Path
        What the export wrote.
    columns : dict of str to ndarray of shape (n_samples,)
        The table to predict from.
    method : {"predict", "predict_proba"}
    reference : callable
        Gives the pipeline's own numbers for the table.

    Returns
    -------
    OnnxRecord

    Raises
    ------
    VerificationError
        If the process cannot run the folder.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch, "columns"), Path(scratch, "values")
        save_file({name: np.ascontiguousarray(column) for name, column in columns.items()}, source)
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(folder), method, str(source), str(target)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise VerificationError(
                f"The exported folder {folder} does not run without torch: "
                f"{done.stderr.strip().splitlines()[-1]}"
            )
        found = load_file(target)
    values, seconds = found["values"], float(found["seconds"])
    expected = np.asarray(reference())
    worst = float(np.max(np.abs(values - expected)) / max(np.max(np.abs(expected)), 1e-300))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return OnnxRecord(folder, len(expected), worst, seconds * 1e3, size)
