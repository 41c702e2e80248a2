"""Running an exported graph beside the model it came from."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from zoo.errors import ExportError, VerificationError

__all__ = ["BATCHES", "verify_outputs"]

Arrays = Mapping[str, NDArray]

#: Batch sizes that every graph must answer, besides the whole sample.
BATCHES = (1, 7)
_CHUNK = 4096


def verify_outputs(
    run: Callable[[dict[str, NDArray]], dict[str, NDArray]],
    samples: Arrays,
    wanted: Arrays,
    *,
    rtol: float,
    atol: float,
) -> None:
    """Compare a graph's outputs with the model's at batch 1, at batch 7 and on the whole sample.

    A number may differ by ``atol + rtol * scale``, with ``scale`` the largest magnitude in its
    column over the whole sample. A label must be equal, unless the model's own two highest
    probabilities lie closer together than twice the tolerance of ``probabilities``.

    Parameters
    ----------
    run : callable
        Inputs by name to outputs by name, the first axis of each being the rows.
    samples : mapping of str to ndarray of shape (n_samples, ...)
        Inputs of the graph.
    wanted : mapping of str to ndarray of shape (n_samples, ...)
        The model's outputs for them.
    rtol, atol : float
        The tolerance.

    Raises
    ------
    zoo.errors.VerificationError
        An output is missing, has another shape, or differs by more than the tolerance.
    zoo.errors.ExportError
        There is no sample to verify on.
    """
    n_samples = {len(values) for values in samples.values()}
    if len(n_samples) != 1 or not min(n_samples):
        raise ExportError(
            "Verifying an export needs at least one row of every input: pass rows, or verify=False."
        )
    tolerances = {
        name: atol + rtol * _column_scale(values)
        for name, values in wanted.items()
        if values.dtype.kind == "f"
    }
    close = _near_ties(wanted, tolerances)
    for rows in _row_ranges(n_samples.pop()):
        outputs = run({name: values[rows] for name, values in samples.items()})
        for name, values in wanted.items():
            batch = f"a batch of {rows.stop - rows.start}"
            got = _matching(name, outputs.get(name), values[rows], batch)
            if name in tolerances:
                _compare_numbers(name, got, values[rows], tolerances[name], batch)
            else:
                _compare_labels(name, got, values[rows], close[rows], batch)


def _row_ranges(n_samples: int) -> Iterator[slice]:
    for batch in BATCHES:
        yield slice(0, min(batch, n_samples))
    for start in range(0, n_samples, _CHUNK):
        yield slice(start, min(start + _CHUNK, n_samples))


def _column_scale(values: NDArray) -> NDArray:
    finite = np.where(np.isfinite(values), np.abs(values), 0.0)
    return finite.max(axis=0)


def _near_ties(wanted: Arrays, tolerances: Arrays) -> NDArray[np.bool_]:
    n_samples = len(next(iter(wanted.values())))
    chances = wanted.get("probabilities")
    if chances is None or chances.shape[1] < 2:
        return np.zeros(n_samples, dtype=bool)
    top = np.sort(chances, axis=1)
    return top[:, -1] - top[:, -2] <= 2 * np.max(tolerances["probabilities"])


def _matching(name: str, got: NDArray | None, want: NDArray, batch: str) -> NDArray:
    shape = None if got is None else got.shape
    if got is None or shape != want.shape:
        raise VerificationError(
            f"The ONNX graph's output {name!r} must have shape {want.shape} for {batch}. "
            f"Got {shape or 'no such output'}."
        )
    return got


def _compare_numbers(
    name: str, got: NDArray, want: NDArray, tolerance: NDArray, batch: str
) -> None:
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(got.astype(np.float64) - want))
    difference = np.where(np.isnan(difference), np.inf, difference)
    if (difference <= tolerance).all():
        return
    excess = difference / np.maximum(tolerance, np.finfo(np.float64).tiny)
    worst = np.unravel_index(np.argmax(excess), excess.shape)
    allowed = np.broadcast_to(tolerance, difference.shape)[worst]
    hint = "" if got.dtype == np.float64 else " (dtype='float64' loses fewer digits)"
    raise VerificationError(
        f"The ONNX graph computes other numbers than the model: output {name!r} differs by up to "
        f"{difference[worst]:.3g} on {batch}, allowed is {allowed:.3g}{hint}."
    )


def _compare_labels(
    name: str, got: NDArray, want: NDArray, near_tie: NDArray[np.bool_], batch: str
) -> None:
    wrong = (got != want) & ~near_tie
    if wrong.any():
        row = int(np.argmax(wrong))
        raise VerificationError(
            f"The ONNX graph gives other labels than the model: output {name!r} differs on "
            f"{int(wrong.sum())} rows of {batch}, such as {got[row]!r} instead of {want[row]!r}."
        )
