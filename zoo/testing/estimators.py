"""Checks of an estimator in memory."""

import inspect
import pickle
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from zoo.testing.subject import Subject, compare, outputs, require

__all__ = [
    "check_constructor",
    "check_one_row",
    "check_pickle",
    "check_scikit_learn",
    "check_seeds",
    "check_threads",
]

_SAME = 1e-12
_ROWS = 20


def check_scikit_learn(subject: Subject, task: str) -> None:
    """scikit-learn's own checks pass, none of them expected to fail."""
    subject.task(task)
    found = check_estimator(subject.cls(task)(), on_fail=None, on_skip=None)
    failed = [
        f"{result['check_name']} ({type(result['exception']).__name__}: {result['exception']})"
        for result in found
        if result["status"] == "failed"
    ]
    require(not failed, f"{len(failed)} of {len(found)} fail: {'; '.join(failed)}")


def check_constructor(subject: Subject, task: str) -> None:
    """The constructor assigns its parameters, whatever they are, and does nothing else."""
    cls = subject.cls(task)
    parameters = inspect.signature(cls).parameters
    loose = [name for name, p in parameters.items() if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    require(not loose, f"the constructor must name its parameters, and takes {', '.join(loose)}")
    sentinels = {name: object() for name in parameters}
    model = cls(**sentinels)
    changed = [name for name, value in sentinels.items() if vars(model).get(name) is not value]
    require(not changed, f"the constructor must assign as they are: {', '.join(changed)}")
    more = sorted(set(vars(model)) - set(sentinels))
    require(not more, f"the constructor must set no other attributes: {', '.join(more)}")


def check_seeds(subject: Subject, task: str) -> None:
    """A seed decides the result alone, and no global generator is read or moved."""
    X, y = subject.data(task)
    model = subject.build(task)
    kept = _generator_states()
    seeded: list[dict[str, NDArray]] = []
    try:
        for seed in (1, 2):
            _seed_generators(seed)
            before = _generator_states()
            seeded.append(outputs(clone(model).fit(X, y), X, task))
            after = _generator_states()
            # torch may have been imported by the first fit.
            moved = [name for name, state in before.items() if not _equal(state, after[name])]
            require(not moved, f"fit and predict must leave alone: {', '.join(moved)}")
    finally:
        _restore_generators(kept)
    compare(seeded[0], seeded[1], "two fits with one random_state", tolerance=0.0)


def check_threads(subject: Subject, task: str) -> None:
    """Fits in four threads at once give what one alone gives."""
    X, y = subject.data(task)
    alone = outputs(subject.fitted(task), X, task)
    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda _: subject.build(task).fit(X, y), range(4)))
    for model in models:
        compare(
            outputs(model, X, task),
            alone,
            "a fit among other threads and one alone",
            tolerance=_SAME,
        )


def check_one_row(subject: Subject, task: str) -> None:
    """A row predicted alone gives what it gives in a batch."""
    X, _ = subject.data(task)
    model, about = subject.fitted(task), subject.task(task)
    certain = [name for name, question in about.questions.items() if not question.drawn]
    batch = {name: values[:_ROWS] for name, values in outputs(model, X, task, certain).items()}
    rows = [outputs(model, X[row : row + 1], task, certain) for row in range(_ROWS)]
    single = {name: np.concatenate([row[name] for row in rows]) for name in batch}
    compare(single, batch, "rows alone and in a batch", tolerance=about.alone)


def check_pickle(subject: Subject, task: str) -> None:
    """Pickling keeps parameters and predictions."""
    X, _ = subject.data(task)
    model = subject.fitted(task)
    restored = pickle.loads(pickle.dumps(model))
    require(repr(restored.get_params()) == repr(model.get_params()), "pickling changes parameters")
    compare(
        outputs(restored, X, task),
        outputs(model, X, task),
        "before and after pickling",
        tolerance=0.0,
    )


def _generator_states() -> dict[str, Any]:
    # The global generator, which models must leave alone, has no other interface.
    states: dict[str, Any] = {
        "random": random.getstate(),
        "numpy.random": np.random.get_state(),  # noqa: NPY002
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        states["torch"] = torch.get_rng_state()
    return states


def _seed_generators(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def _restore_generators(states: dict[str, Any]) -> None:
    random.setstate(states["random"])
    np.random.set_state(states["numpy.random"])  # noqa: NPY002
    if "torch" in states:
        sys.modules["torch"].set_rng_state(states["torch"])


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return all(_equal(a, b) for a, b in zip(one, other, strict=True))
    return bool(np.all(np.asarray(one) == np.asarray(other)))
