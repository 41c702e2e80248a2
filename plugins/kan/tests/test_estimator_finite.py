"""Nothing that comes out of a fit, a pruning or a formula is NaN, whatever went in."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_kan import KANClassifier, KANRegressor

COLUMNS = ("plain", "constant", "duplicated", "huge", "tiny", "huge constant", "mixed", "two")


def column(kind, first, rng):
    n = len(first)
    return {
        "plain": rng.normal(size=n),
        "constant": np.full(n, 3.0),
        "duplicated": first,
        "huge": 1e300 * rng.normal(size=n),
        "tiny": 1e-300 * rng.normal(size=n),
        "huge constant": np.full(n, 1e300),
        "mixed": rng.normal(size=n) * 10.0 ** rng.integers(-300, 300, n),
        "two": rng.integers(0, 2, n).astype(float),
    }[kind]


def table(kinds, rows, seed):
    rng = np.random.default_rng(seed)
    first = rng.normal(size=rows)
    return np.column_stack([first, *(column(kind, first, rng) for kind in kinds)]), rng


def check(model, X, outputs):
    for name, value in model.network_.to_arrays().items():
        assert np.isfinite(value).all(), name
    assert np.isfinite(outputs(X)).all()
    assert np.isfinite(model.loss_)
    model.prune()
    assert np.isfinite(outputs(X)).all()
    formula = model.to_symbolic()
    assert np.isfinite(
        formula.predict_proba(X) if outputs.__name__ == "predict_proba" else formula.predict(X)
    ).all()
    assert not any("nan" in str(expression) for expression in formula.expressions_)


kinds = st.lists(st.sampled_from(COLUMNS), min_size=0, max_size=2)
TARGETS = ("first", "constant", "huge", "tiny", "noise")


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    kinds=kinds,
    rows=st.sampled_from([2, 5, 40]),
    target=st.sampled_from(TARGETS),
    seed=st.integers(0, 3),
)
def test__regressor__hostile_columns__stays_finite(kinds, rows, target, seed):
    X, rng = table(kinds, rows, seed)
    y = {
        "first": np.sin(X[:, 0]),
        "constant": np.full(rows, 1e300),
        "huge": 1e300 * np.tanh(X[:, 0]),
        "tiny": 1e-300 * X[:, 0],
        "noise": rng.normal(size=rows),
    }[target]
    model = KANRegressor(random_state=seed, max_iter=20).fit(X, y)
    check(model, X, model.predict)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    kinds=kinds, rows=st.sampled_from([5, 40]), classes=st.integers(2, 3), seed=st.integers(0, 3)
)
def test__classifier__hostile_columns__stays_finite(kinds, rows, classes, seed):
    X, _ = table(kinds, rows, seed)
    y = np.arange(rows) % classes
    model = KANClassifier(random_state=seed, max_iter=20).fit(X, y)
    check(model, X, model.predict_proba)
