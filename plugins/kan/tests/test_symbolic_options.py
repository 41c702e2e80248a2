import itertools
import math

import numpy as np
import pytest
import sympy

import zoo
from zoo_kan.network import EdgeLayer, KANNetwork
from zoo_kan.symbolic import Function, to_symbolic
from zoo_kan.symbolic.progress import reporter
from zoo_kan.symbolic.tidy import _without_squares


def network(n_features, n_outputs=1):
    """A network that knows nothing of the data."""
    shape = (n_outputs, n_features)
    layer = EdgeLayer(
        -np.ones(n_features),
        np.ones(n_features),
        np.random.default_rng(0).normal(size=(*shape, 6)),
        np.zeros(shape),
        np.zeros(n_outputs),
        np.ones(shape, dtype=bool),
    )
    return KANNetwork(
        [layer], np.zeros(n_features), np.ones(n_features), np.zeros(n_outputs), np.ones(n_outputs)
    )


def test__to_symbolic__two_processes__same_formulas_as_one():
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 3, (200, 2))
    Y = np.stack([X[:, 0] * X[:, 1], np.log(X[:, 0]), X[:, 0] - X[:, 1] ** 2], axis=1)
    one, two = (to_symbolic(network(2, 3), X, Y, n_jobs=n, time_limit=600) for n in (1, 2))
    assert two.expressions_ == one.expressions_
    assert two.pareto_ == one.pareto_
    assert two.n_tried_ == one.n_tried_
    a, b = sympy.symbols("x0 x1")
    assert one.expressions_ == [a * b, sympy.log(a), a - b**2]


def test__to_symbolic__n_jobs_0__is_refused():
    X = np.random.default_rng(0).uniform(1, 3, (30, 1))
    with pytest.raises(ValueError, match="n_jobs == 0"):
        to_symbolic(network(1), X, X[:, 0], n_jobs=0)


def test__to_symbolic__progress_bar__is_drawn_on_the_error_stream_and_goes(capsys):
    X = np.random.default_rng(0).uniform(1, 3, (50, 1))
    to_symbolic(network(1), X, X[:, 0], progress="bar")
    printed = capsys.readouterr()
    assert printed.out == ""
    with reporter("bar", 10.0) as show:
        show({"output": 0, "stage": "[shapes]", "tried": 7, "seconds": 11.0})


@pytest.mark.parametrize("progress", ["tqdm", 3])
def test__to_symbolic__progress_of_another_kind__is_refused(progress):
    X = np.random.default_rng(0).uniform(1, 3, (30, 1))
    with pytest.raises(TypeError, match=f"must be a callable, 'bar' or None. Got {progress!r}"):
        to_symbolic(network(1), X, X[:, 0], progress=progress)


def test__to_symbolic__clock_runs_out__no_more_is_tried(monkeypatch):
    X = np.random.default_rng(0).uniform(-1, 1, (300, 3))
    y = np.exp(np.sin(3 * X[:, 0]) + X[:, 1]) / (1 + X[:, 2] ** 2)
    ticks = itertools.count(step=0.01)
    monkeypatch.setattr("time.monotonic", lambda: next(ticks))
    short, long = (to_symbolic(network(3), X, y, time_limit=limit) for limit in (0.1, 1.0))
    assert 0 < short.n_tried_ < long.n_tried_
    assert short.seconds_ < 0.3 < long.seconds_ < 1.3
    assert np.isfinite(short.predict(X)).all()


def test__to_symbolic__own_function_in_plain_operators__leaves_as_onnx(tmp_path):
    pytest.importorskip("onnxruntime")
    softplus = Function(
        "softplus",
        lambda u: np.logaddexp(0.0, u),
        lambda e: sympy.log(1 + sympy.exp(e)),
        complexity=3,
        derivative=lambda u: 0.5 * (1.0 + np.tanh(0.5 * u)),
    )
    x = np.random.default_rng(0).uniform(-4, 4, (400, 1))
    y = 2.0 * np.logaddexp(0.0, 3.0 * x[:, 0])
    formula = to_symbolic(network(1), x, y, library=[softplus, "exp", "power 2"])
    symbol = sympy.Symbol("x0")
    found = formula.expressions_[0].subs({symbol: 0.5})
    assert float(found) == pytest.approx(2.0 * math.log1p(math.exp(1.5)), rel=1e-9)
    assert formula.expressions_[0].has(sympy.log)
    formula.export_onnx(tmp_path / "out", dtype="float64")
    runner = zoo.load_onnx(tmp_path / "out")
    np.testing.assert_allclose(runner.predict(x), y, rtol=1e-9)


def test__to_symbolic__roots__are_written_without_squares_and_as_quotients():
    rng = np.random.default_rng(0)
    X = rng.uniform(1.0, 2.0, (300, 3))
    t, u, x = sympy.symbols("t u x")
    for law in ((3 * x - u * t) / sympy.sqrt(t), t / sympy.sqrt(u**2 - u * x + x**2)):
        y = sympy.lambdify((t, u, x), law)(*X.T)
        found = to_symbolic(network(3), X, y, feature_names=["t", "u", "x"]).expressions_[0]
        positive = {s: sympy.Symbol(s.name, positive=True) for s in (t, u, x)}
        assert sympy.simplify((found - law).subs(positive)) == 0


def test__without_squares__one_of_the_signs_is_right():
    t, u, x = sympy.symbols("t u x", positive=True)
    squared = t * sympy.sqrt(u**2 - 2 * u * x / t + x**2 / t**2)
    written = {sympy.expand(_without_squares(squared, sign)) for sign in (1, -1)}
    assert written == {u * t - x, x - u * t}
