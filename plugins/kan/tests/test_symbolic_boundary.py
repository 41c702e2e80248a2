import numpy as np
import pytest
import sympy

from zoo.errors import DataError
from zoo_kan import KANClassifier
from zoo_kan.symbolic import Boundary, Function, find_boundary

X, Y, A, L = sympy.symbols("x y a l")
SQUARE, QUADRANT = ((-2.0, 2.0), (-2.0, 2.0)), ((0.2, 3.0), (0.2, 3.0))
LAWS = {
    "circle": (X**2 + Y**2 - 1, SQUARE),
    "hyperbola": (X * Y - 1, QUADRANT),
    "line": (X + 2 * Y - 2, ((-3.0, 3.0), (0.0, 3.0))),
    "exponential": (Y - sympy.exp(X), ((-2.0, 1.0), (0.0, 3.0))),
}


def sample(name, n, seed=0):
    law, ranges = LAWS[name]
    rng = np.random.default_rng(seed)
    rows = np.column_stack([rng.uniform(low, high, n) for low, high in ranges])
    return rows, sympy.lambdify([X, Y], law)(*rows.T) > 0.0


def flipped(labels, share, seed=1):
    return labels ^ (np.random.default_rng(seed).random(len(labels)) < share)


def is_law(found, law):
    found = found.subs(sympy.log(Y) - X, Y - sympy.exp(X))  # the same zeros
    quotient = sympy.simplify(found / law)
    return quotient.is_number and quotient > 0


@pytest.mark.parametrize("name", list(LAWS))
@pytest.mark.parametrize(
    ("n", "noise"), [(200, 0.0), (500, 0.05)], ids=["200 rows", "500 rows, 5% wrong"]
)
def test__find_boundary__known_law__is_found_exactly(name, n, noise):
    rows, labels = sample(name, n)
    found = find_boundary(rows, flipped(labels, noise), feature_names=["x", "y"], most_terms=3)
    assert is_law(found.expression_, LAWS[name][0]), found
    assert np.mean(found.predict(rows) == labels) > 0.98
    assert found.accuracy_ == pytest.approx(1.0 - noise, abs=0.03)


def test__find_boundary__constant_that_is_not_round__is_not_rounded():
    rows, _ = sample("circle", 3000)
    labels = (rows**2).sum(axis=1) > 1.0371
    found = find_boundary(rows, labels, feature_names=["x", "y"], most_terms=3)
    constants = found.expression_.atoms(sympy.Float)
    assert len(constants) == 1, found
    assert abs(float(constants.pop())) == pytest.approx(1.0371, abs=3e-3)


def test__find_boundary__groups_that_err_together__constants_are_rounded():
    # each group moves the boundary by its own amount: rows say 1.03, groups cannot tell
    rng = np.random.default_rng(0)
    rows = rng.uniform(-2.0, 2.0, (3000, 2))
    group = np.arange(3000) % 10
    moved = rng.normal(0.0, 0.1, 10)
    moved += 0.03 - moved.mean()
    labels = (rows**2).sum(axis=1) > 1.0 + moved[group]
    found = find_boundary(rows, labels, groups=group, feature_names=["x", "y"], most_terms=3)
    assert is_law(found.expression_, LAWS["circle"][0]), found


def test__find_boundary__law_of_three_columns__among_an_irrelevant_one():
    rng = np.random.default_rng(2)
    rows = np.column_stack(
        [rng.uniform(-3, 3, 1500), rng.uniform(-1, 1, 1500), rng.uniform(0, 2, 1500)]
    )
    labels = rows[:, 1] * rows[:, 0] + 2.0 * rows[:, 2] - 2.0 > 0.0
    found = find_boundary(rows, labels, feature_names=["x", "a", "l"], most_terms=3)
    assert is_law(found.expression_, A * X + 2 * L - 2), found


def test__find_boundary__labels_at_random__says_that_there_is_none():
    rows, labels = sample("circle", 300)
    found = find_boundary(rows, flipped(labels, 0.5), most_terms=3)
    assert found.verdict_.startswith("No boundary found")


def test__find_boundary__same_seed__same_result():
    rows, labels = sample("hyperbola", 100)
    noisy = flipped(labels, 0.1)
    one, two = (find_boundary(rows, noisy, most_terms=2, time_limit=1000.0) for _ in range(2))
    assert one.pareto_ == two.pareto_
    assert one.n_tried_ == two.n_tried_


@pytest.mark.parametrize("swapped", [False, True], ids=["as is", "swapped"])
def test__find_boundary__text_labels__positive_on_the_second_class(swapped):
    rows, labels = sample("circle", 200)
    names = np.array(["in", "out"])
    found = find_boundary(rows, names[(labels ^ swapped).astype(int)], most_terms=3)
    assert found.classes_.tolist() == ["in", "out"]
    assert found.score(rows, names[(labels ^ swapped).astype(int)]) > 0.98
    sign = np.sign(found.decision_function(np.zeros((1, 2)))[0])
    assert sign == (1.0 if swapped else -1.0)


def test__find_boundary__factor_that_keeps_its_sign__is_left_out():
    rows, labels = sample("hyperbola", 400)
    reciprocal = find_boundary(rows, labels, library=["power -1"], feature_names=["x", "y"])
    assert is_law(reciprocal.expression_, LAWS["hyperbola"][0]), reciprocal


def test__find_boundary__users_function__may_appear():
    rng = np.random.default_rng(0)
    rows = rng.uniform(-1.0, 1.0, (400, 2))
    step = Function("cube of sine", lambda u: np.sin(u) ** 3, lambda e: sympy.sin(e) ** 3, 2)
    labels = rows[:, 1] > np.sin(rows[:, 0]) ** 3
    found = find_boundary(rows, labels, library=[step], feature_names=["x", "y"], most_terms=2)
    assert is_law(found.expression_, Y - sympy.sin(X) ** 3), found


@pytest.mark.parametrize(
    "rows",
    [
        np.array([[0.0], [1.0], [2.0], [3.0], [4.0]]),
        np.array([[1e12, 1.0], [2e12, 1.0], [3e12, 1.0], [4e12, 1.0], [5e12, 1.0]]),
        np.array([[1e-12, 5.0], [2e-12, 5.0], [3e-12, 5.0], [4e-12, 5.0], [5e-12, 5.0]]),
        np.repeat(np.array([[0.0, 0.0], [1.0, 1.0]]), [3, 2], axis=0),
    ],
    ids=["one column", "huge and constant", "tiny and constant", "duplicates"],
)
def test__find_boundary__five_rows__equation_is_finite(rows):
    found = find_boundary(rows, [0, 0, 0, 1, 1], most_terms=3)
    assert np.isfinite(found.decision_function(rows)).all()
    assert found.accuracy_ >= 0.6


def test__pareto__chosen_equation__is_in_it_and_rows_improve():
    rows, labels = sample("circle", 300)
    found = find_boundary(rows, flipped(labels, 0.1), feature_names=["x", "y"], most_terms=3)
    assert found.expression_ in [row.expression for row in found.pareto_]
    assert [row.complexity for row in found.pareto_] == sorted(
        row.complexity for row in found.pareto_
    )
    assert "x**2 + y**2 - 1 = 0" in found.table()


def test__to_boundary__classifier__agrees_with_its_labels():
    rows, labels = sample("circle", 400)
    classes = np.where(labels, "out", "in")
    model = KANClassifier(hidden=(), random_state=0, max_iter=50).fit(rows, classes)
    found = model.to_boundary(feature_names=["x", "y"], most_terms=3)
    assert is_law(found.expression_, LAWS["circle"][0]), found
    assert found.network_accuracy_ == pytest.approx(model.score(rows, classes))
    assert "network" in found.verdict_
    assert found.predict(rows).tolist() == classes.tolist()


def test__to_boundary__three_classes__is_an_error():
    rows, _ = sample("circle", 90)
    model = KANClassifier(hidden=(), max_iter=5).fit(rows, np.arange(90) % 3)
    with pytest.raises(ValueError, match=r"needs a classifier of two classes. Got 3"):
        model.to_boundary()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.zeros(4)}, r"X of find_boundary must have shape .* Got \(4,\)"),
        ({"y": [0, 1]}, r"y of find_boundary must have shape \(4,\)"),
        ({"y": [1, 1, 1, 1]}, r"must hold two classes. Got 1"),
        ({"y": [0, 1, 2, 2]}, r"must hold two classes. Got 3"),
        ({"X": np.full((4, 1), np.nan)}, r"must be finite"),
        ({"weight": [1, 1]}, r"weight of find_boundary must be 4 numbers"),
        ({"weight": np.zeros(4)}, r"not all 0"),
        ({"groups": [1, 2]}, r"groups of find_boundary must have shape \(4,\)"),
        ({"feature_names": ["a", "b"]}, r"must be 1 different names"),
        ({"most_terms": 1}, r"most_terms of find_boundary must be an integer from 2 up"),
        ({"library": ["sine"]}, r"Got 'sine'"),
        ({"X": np.ones((4, 1))}, r"must have a column that is not constant"),
    ],
    ids=[
        *("shape of X", "shape of y", "one class", "three classes", "NaN", "shape of weight"),
        *("no weight", "groups", "names", "terms", "library", "constant"),
    ],
)
def test__find_boundary__bad_input__is_an_error(change, message):
    given = {"X": np.arange(4.0)[:, None], "y": [0, 0, 1, 1], **change}
    with pytest.raises(ValueError, match=message):
        find_boundary(given.pop("X"), given.pop("y"), **given)


def test__find_boundary__network_of_other_width__is_an_error():
    rows, labels = sample("circle", 60)
    model = KANClassifier(hidden=(), max_iter=5).fit(rows, labels)
    with pytest.raises(ValueError, match=r"network of find_boundary must have 1 inputs"):
        find_boundary(rows[:, :1], labels, network=model.network_)


def test__decision_function__outside_the_domain__is_an_error():
    boundary = Boundary(sympy.log(X) - Y, feature_names=["x", "y"], classes=[0, 1])
    with pytest.raises(DataError, match=r"not on 1 of 2, row 1 first"):
        boundary.predict([[1.0, 2.0], [-1.0, 2.0]])
    with pytest.raises(DataError, match=r"must have 2 features. Got 1"):
        boundary.predict([[1.0]])


def test__latex__equation__ends_in_zero():
    boundary = Boundary(X**2 - Y, feature_names=["x", "y"], classes=[0, 1])
    assert boundary.latex() == "x^{2} - y = 0"
    assert str(boundary) == "x**2 - y = 0"
