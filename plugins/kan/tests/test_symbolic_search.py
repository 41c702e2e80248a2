import numpy as np
import pytest
import sympy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo_kan.datasets import load_orbits
from zoo_kan.network import EdgeLayer, KANNetwork
from zoo_kan.regressor import KANRegressor
from zoo_kan.solvers import fit_lm, initial_network
from zoo_kan.symbolic import Function, to_symbolic

LAWS = [
    ("exp(sin(pi*x) + y**2)", {"x": (-1, 1), "y": (-1, 1)}),
    ("x*y", {"x": (-2, 2), "y": (-2, 2)}),
    ("sqrt(x**2 + y**2)", {"x": (-3, 3), "y": (-3, 3)}),
    ("q1*q2/(4*pi*r**2)", {"q1": (1, 5), "q2": (1, 5), "r": (1, 5)}),
    ("tanh(x)*y", {"x": (-3, 3), "y": (-2, 2)}),
    ("(x + y)**2/z", {"x": (1, 5), "y": (1, 5), "z": (1, 5)}),
    ("1/(1 + exp(-x))", {"x": (-5, 5)}),
]


def random_network(n_features, n_outputs=1):
    """A network that knows nothing of the data."""
    coef = np.random.default_rng(0).normal(size=(n_outputs, n_features, 6))
    layer = EdgeLayer(
        -np.ones(n_features),
        np.ones(n_features),
        coef,
        np.zeros((n_outputs, n_features)),
        np.zeros(n_outputs),
        np.ones((n_outputs, n_features), dtype=bool),
    )
    mean, scale = np.zeros(n_outputs), np.ones(n_outputs)
    return KANNetwork([layer], np.zeros(n_features), np.ones(n_features), mean, scale)


def trained(X, Y, widths, loss="squared"):
    start = initial_network(
        X, Y, widths, grid=5, rng=np.random.default_rng(0), standardise_outputs=loss == "squared"
    )
    return fit_lm(start, X, Y, loss=loss, max_iter=40).network


def sample(text, ranges, noise, n=1000):
    rng = np.random.default_rng(0)
    symbols = {name: sympy.Symbol(name) for name in ranges}
    law = sympy.sympify(text, locals=symbols)
    X = np.column_stack([rng.uniform(*limits, n) for limits in ranges.values()])
    y = sympy.lambdify(list(symbols.values()), law)(*X.T)
    return X, y + noise * np.sqrt(np.mean(y**2)) * rng.normal(size=n), law


@pytest.mark.parametrize("seed", [0, 1, 2])
def test__to_symbolic__network_far_more_accurate_than_its_closed_forms__is_recovered(seed):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (1000, 2))
    y = np.exp(np.sin(np.pi * X[:, 0]) + X[:, 1] ** 2)
    model = KANRegressor(random_state=seed).fit(X, y)
    assert 1 - model.score(X, y) < 1e-11
    x0, x1 = sympy.symbols("x0 x1")
    assert model.to_symbolic().expressions_ == [sympy.exp(sympy.sin(sympy.pi * x0) + x1**2)]


@pytest.mark.parametrize(("text", "ranges"), LAWS, ids=[text for text, _ in LAWS])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test__to_symbolic__law__is_recovered_exactly(text, ranges, noise):
    X, y, law = sample(text, ranges, noise)
    formula = to_symbolic(random_network(len(ranges)), X, y, feature_names=list(ranges))
    positive = {sympy.Symbol(n): sympy.Symbol(n, real=True) for n in ranges}
    assert sympy.simplify((formula.expressions_[0] - law).xreplace(positive)) == 0
    assert formula.score_ > 1 - 2 * noise**2 * np.mean(y**2) / y.var() - 1e-12
    assert formula.n_tried_ > 0


def test__to_symbolic__no_targets__stands_for_the_network():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (400, 2))
    y = np.sin(X[:, 0]) + X[:, 1] ** 2
    network = trained(X, y[:, None], [2, 1])
    formula = to_symbolic(network, X, feature_names=["x", "y"])
    predicted = network.forward(X)[:, 0]
    assert np.std(formula.predict(X) - predicted) < 0.02 * predicted.std()
    assert formula.network_score_ == 1.0


def test__to_symbolic__several_outputs__one_expression_each():
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 3, (300, 2))
    Y = np.stack([X[:, 0] * X[:, 1], np.log(X[:, 0])], axis=1)
    formula = to_symbolic(random_network(2, 2), X, Y, feature_names=["a", "b"])
    a, b = sympy.symbols("a b")
    assert formula.expressions_ == [a * b, sympy.log(a)]
    assert formula.predict(X).shape == (300, 2)
    assert {row.output for row in formula.pareto_} == {0, 1}


def test__to_symbolic__same_seed__same_result():
    X, y, _ = sample("tanh(x)*y", {"x": (-3, 3), "y": (-2, 2)}, 0.1, n=200)
    first, second = (
        to_symbolic(random_network(2), X, y, random_state=3, time_limit=600) for _ in range(2)
    )
    assert first.expressions_ == second.expressions_
    assert first.pareto_ == second.pareto_


def test__to_symbolic__global_random_state_is_untouched():
    X, y, _ = sample("x*y", {"x": (-2, 2), "y": (-2, 2)}, 0.01, n=100)
    before = np.random.get_state()[1].copy()  # noqa: NPY002 the global state is what is checked
    to_symbolic(random_network(2), X, y)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test__to_symbolic__irrelevant_and_repeated_columns_are_left_out():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (400, 4))
    X = np.column_stack([X, X[:, 0], np.ones(400)])
    y = np.sin(2 * X[:, 1]) + 0.01 * rng.normal(size=400)
    formula = to_symbolic(random_network(6), X, y)
    assert formula.expressions_[0] == sympy.sin(2 * sympy.Symbol("x1"))


def test__to_symbolic__offsets_and_units__are_translated_back():
    rng = np.random.default_rng(0)
    X = np.stack([rng.uniform(2e9, 2e9 + 4, 300), rng.uniform(-1e-9, 1e-9, 300)], axis=1)
    y = 3e12 * X[:, 1] + 5e3 * (X[:, 0] - 2e9)
    formula = to_symbolic(random_network(2), X, y)
    assert formula.score_ > 1 - 1e-9
    a, b = sympy.symbols("x0 x1")
    slope = formula.expressions_[0].diff(a)
    assert float(slope) == pytest.approx(5e3, rel=1e-3)
    assert float(formula.expressions_[0].diff(b)) == pytest.approx(3e12, rel=1e-3)


def test__to_symbolic__pure_noise__says_that_no_formula_was_found():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    formula = to_symbolic(random_network(3), X, rng.normal(size=200))
    assert formula.verdict_.startswith("No formula found")
    assert formula.complexity_ <= 6


def test__to_symbolic__law_out_of_reach__says_that_it_falls_short():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (500, 2))
    y = np.sin(9 * X[:, 0] * X[:, 1] + 4 * X[:, 0] ** 2) + X[:, 1]
    network = trained(X, y[:, None], [2, 6, 1])
    formula = to_symbolic(network, X, y, library=["exp", "power 2"], time_limit=10)
    assert formula.network_score_ > 0.7
    assert formula.score_ < formula.network_score_ - 0.1
    assert "falls short" in formula.verdict_ or "No formula" in formula.verdict_
    assert f"{formula.score_:.4f}" in str(formula)


def test__to_symbolic__pareto__trades_length_for_accuracy():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (400, 3))
    y = 3 * X[:, 0] + np.sin(2 * X[:, 1]) + 0.2 * X[:, 2] + 0.05 * rng.normal(size=400)
    formula = to_symbolic(random_network(3), X, y)
    sizes = [row.complexity for row in formula.pareto_]
    assert sizes == sorted(sizes)
    assert formula.expressions_[0] in [row.expression for row in formula.pareto_]
    assert len(formula.pareto_) >= 3
    assert formula.pareto_[0].r2 < 0.1
    assert max(row.r2 for row in formula.pareto_) > 0.999
    chosen = next(r for r in formula.pareto_ if r.expression == formula.expressions_[0])
    assert chosen.r2_held_out == pytest.approx(chosen.r2, abs=0.01)


def test__to_symbolic__own_function__appears_in_the_formula():
    rng = np.random.default_rng(0)
    x = rng.uniform(-6, 6, (500, 1))
    own = Function("sinc", lambda u: np.sinc(u / np.pi), sympy.sinc, 2)
    formula = to_symbolic(random_network(1), x, 3 * np.sinc(x[:, 0] / np.pi), library=[own, "exp"])
    assert formula.expressions_[0] == 3 * sympy.sinc(sympy.Symbol("x0"))


def test__to_symbolic__names_are_never_evaluated():
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 3, (200, 2))
    names = ["__import__('os').abort()", "lambda"]
    formula = to_symbolic(random_network(2), X, X[:, 0] / X[:, 1], feature_names=names)
    assert {symbol.name for symbol in formula.expressions_[0].free_symbols} == set(names)
    np.testing.assert_allclose(formula.predict(X), X[:, 0] / X[:, 1])


def test__to_symbolic__binary_classes__recovers_the_logit():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (2000, 2))
    logit = 3 * X[:, 0] - 2 * X[:, 1] ** 2
    y = (rng.uniform(size=2000) < 1 / (1 + np.exp(-logit))).astype(float)
    network = trained(X, y[:, None], [2, 1], loss="logistic")
    formula = to_symbolic(network, X, y, task="classification", classes=["no", "yes"])
    value = formula.decision_function(X)[:, 0]
    assert np.corrcoef(value, logit)[0, 1] > 0.99
    assert np.std(value - logit) < 0.35 * logit.std()
    assert set(formula.predict(X)) == {"no", "yes"}
    assert formula.score_ == pytest.approx(formula.network_score_, abs=0.02)
    assert "accuracy" in formula.verdict_


def test__to_symbolic__three_classes__one_logit_each():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    numbers = np.digitize(X[:, 0] + 0.1 * rng.normal(size=300), [-0.5, 0.5])
    network = trained(X, np.eye(3)[numbers], [2, 3], loss="logistic")
    formula = to_symbolic(network, X, numbers, task="classification")
    assert len(formula.expressions_) == 3
    np.testing.assert_allclose(formula.predict_proba(X).sum(axis=1), 1.0)
    assert formula.score(X, numbers) > 0.85


def test__to_symbolic__errors_in_proportion__power_law_over_decades():
    rng = np.random.default_rng(0)
    axis, mass = np.exp(rng.uniform(-3, 4, 60)), np.exp(rng.uniform(-8, 0, 60))
    period = axis**1.5 / np.sqrt(mass) * np.exp(0.01 * rng.normal(size=60))
    formula = to_symbolic(
        random_network(2), np.stack([axis, mass], axis=1), period, feature_names=["a", "M"]
    )
    a, mass_symbol = sympy.symbols("a M")
    assert formula.expressions_[0] == a ** sympy.Rational(3, 2) / sympy.sqrt(mass_symbol)


def test__to_symbolic__decimals__no_more_digits_than_the_noise_allows():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (300, 1))
    y = 0.7310585786 * X[:, 0] + 0.05 * rng.normal(size=300)
    coefficient = to_symbolic(random_network(1), X, y).expressions_[0].coeff(sympy.Symbol("x0"))
    assert len(str(coefficient).rstrip("0")) <= 7
    assert float(coefficient) == pytest.approx(0.731, abs=0.01)


def test__to_symbolic__many_features__few_terms_on_small_noisy_data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 20))
    y = 2 * X[:, 3] - X[:, 7] + 0.5 * rng.normal(size=150)
    formula = to_symbolic(random_network(20), X, y)
    assert {symbol.name for symbol in formula.expressions_[0].free_symbols} == {"x3", "x7"}
    assert formula.complexity_ < 15


def test__to_symbolic__time_limit__is_kept():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (1000, 5))
    y = np.sin(5 * X[:, 0] * X[:, 1]) * np.exp(X[:, 2] * X[:, 3]) + rng.normal(size=1000)
    formula = to_symbolic(random_network(5), X, y, time_limit=1.0)
    assert formula.seconds_ < 15.0
    assert np.isfinite(formula.score_)


def test__to_symbolic__progress__reports_stages():
    seen = []
    X, y, _ = sample("x*y", {"x": (-2, 2), "y": (-2, 2)}, 0.01, n=100)
    formula = to_symbolic(random_network(2), X, y, progress=seen.append)
    assert {"output", "stage", "tried", "seconds"} == set(seen[0])
    assert seen[-1]["stage"] == "writing"
    tried = [entry["tried"] for entry in seen]
    assert tried == sorted(tried)
    assert tried[-1] == formula.n_tried_


def test__to_symbolic__rows_of_zero_weight__do_not_count():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (200, 1))
    y = 2 * X[:, 0] + 0.1 * rng.normal(size=200)
    y[:50] = 100.0
    weight = np.r_[np.zeros(50), np.ones(150)]
    formula = to_symbolic(random_network(1), X, y, weight=weight)
    assert formula.expressions_ == to_symbolic(random_network(1), X[50:], y[50:]).expressions_
    assert formula.expressions_[0].coeff(sympy.Symbol("x0")) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"X": np.zeros((5, 3))}, r"X of to_symbolic must have shape \(n_samples, 2\)"),
        ({"X": np.zeros((0, 2)), "y": np.zeros(0)}, r"n_samples at least 1\. Got \(0, 2\)"),
        ({"y": np.zeros(4)}, r"y of to_symbolic must have shape \(5, 1\)"),
        ({"y": np.full(5, np.nan)}, r"must be finite"),
        ({"weight": np.zeros(5)}, r"weight of to_symbolic must be 5 numbers from 0 up, not all 0"),
        ({"feature_names": ["a", "a"]}, r"2 different names\. Got \['a', 'a'\]"),
        ({"task": "ranking"}, r"must be 'regression' or 'classification'\. Got 'ranking'"),
        ({"task": "classification", "y": None}, r"must be the classes of a classifier\. Got None"),
        ({"task": "classification", "classes": [1, 2, 3]}, r"classes .* must be 2 labels"),
    ],
)
def test__to_symbolic__unusable_input__says_what_is_allowed(change, match):
    options = {"X": np.ones((5, 2)), "y": np.zeros(5), **change}
    with pytest.raises(ValueError, match=match):
        to_symbolic(random_network(2), options.pop("X"), options.pop("y"), **options)


KINDS = ["normal", "constant", "duplicated", "integers", "steps", "heavy"]


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    n=st.sampled_from([1, 2, 3, 5, 8, 40]),
    n_features=st.integers(1, 4),
    kind=st.sampled_from(KINDS),
    scale=st.sampled_from([1e-300, 1e-30, 1.0, 1e12, 1e150, 1e300]),
    offset=st.sampled_from([0.0, 1e9]),
    target=st.sampled_from(["noise", "constant", "sum", "square", "class"]),
    seed=st.integers(0, 100),
)
def test__to_symbolic__any_data__finite_formula(n, n_features, kind, scale, offset, target, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, n_features))
    if kind == "constant":
        X[:, 0] = 3.0
    elif kind == "duplicated":
        X[:] = X[:, :1]
    elif kind == "integers":
        X = np.round(X)
    elif kind == "steps":
        X = np.sign(X)
    elif kind == "heavy":
        X = np.exp(4 * X)
    targets = {
        "noise": rng.normal(size=n),
        "constant": np.full(n, 2.5),
        "sum": X.sum(axis=1),
        "square": X[:, 0] ** 2,
        "class": (X[:, 0] > 0).astype(float),
    }
    y = targets[target] * (1.0 if target == "class" else scale)
    X = X * scale + (offset if scale == 1.0 else 0.0)
    task = "classification" if target == "class" else "regression"
    formula = to_symbolic(random_network(n_features), X, y, task=task, time_limit=10)
    assert np.isfinite(formula.decision_function(X)).all()
    assert np.isfinite(formula.score_)
    assert all(np.isfinite(row.r2) for row in formula.pareto_)
    assert formula.verdict_


def test__to_symbolic__one_constant_in_two_terms__ends_the_search():
    X, y, law = sample("6.4*(a**3*b**2 + a**2*b**3)", {"a": (1, 5), "b": (1, 5)}, 0.01)
    formula = to_symbolic(random_network(2), X, y, feature_names=["a", "b"], time_limit=600)
    ratio = sympy.simplify(formula.expressions_[0] / law)
    assert float(ratio) == pytest.approx(1.0, abs=2e-3)
    assert formula.n_tried_ < 60


def test__to_symbolic__published_orbits__give_the_round_law():
    orbits = load_orbits()
    X = np.log(orbits.data / [149_597_870.7, 1_988_400.0])  # astronomical units, solar masses
    years = np.log(orbits.target / 365.25)
    formula = KANRegressor(random_state=0).fit(X, years).to_symbolic()
    a, m = sympy.symbols("x0 x1")
    assert formula.expressions_[0] == 3 * a / 2 - m / 2
