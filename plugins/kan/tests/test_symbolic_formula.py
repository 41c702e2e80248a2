import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
import sympy

import zoo
from zoo.errors import DataError, ExportError
from zoo_kan.symbolic import FormulaRow, SymbolicKAN
from zoo_kan.symbolic.formula import verdict
from zoo_kan.symbolic.numeric import evaluate_expression
from zoo_kan.symbolic.pareto import format_table, pareto_front

NAMES = ["sepal length (cm)", "x_1", "50% & more"]
A, B, C = (sympy.Symbol(name) for name in NAMES)
OPERATORS = [
    sympy.exp(-A) * B,
    sympy.log(A + 3) + sympy.sqrt(A + 4),
    sympy.sin(A) + sympy.cos(B) * sympy.tan(C / 4),
    sympy.tanh(A * B) / (C + 5),
    sympy.sinh(A / 2) + sympy.cosh(B / 2) - C**3 + (A + 3) ** sympy.Rational(3, 2),
    sympy.asin(A / 4) + sympy.acos(B / 4) + sympy.atan(C),
    sympy.Abs(A) * sympy.sign(B) + sympy.pi * C**2 + sympy.Rational(1, 3),
    sympy.Float(2.5) + 0 * A,
]


def rows(n=40):
    return np.random.default_rng(0).uniform(-2.0, 2.0, (n, 3))


def formula(*expressions, **options):
    return SymbolicKAN(list(expressions), feature_names=NAMES, sample=rows(), **options)


@pytest.mark.parametrize("expression", OPERATORS, ids=str)
def test__predict__equals_sympy(expression):
    X = rows(5)
    wanted = [float(expression.subs(dict(zip((A, B, C), row, strict=True))).evalf()) for row in X]
    np.testing.assert_allclose(formula(expression).predict(X), wanted, rtol=1e-12)


@pytest.mark.parametrize("expression", OPERATORS, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-9)])
def test__export_onnx__computes_the_formula(expression, dtype, tolerance, tmp_path):
    pytest.importorskip("onnxruntime")
    symbolic = formula(expression)
    symbolic.export_onnx(tmp_path / "out", dtype=dtype)
    runner = zoo.load_onnx(tmp_path / "out")
    for n in (1, 7, 40):
        X = rows(n).astype(dtype).astype(float)
        wanted = symbolic.predict(X)
        np.testing.assert_allclose(
            runner.predict(X), wanted, rtol=0, atol=tolerance * max(1.0, np.abs(wanted).max())
        )


@pytest.mark.parametrize(
    ("expressions", "classes"),
    [([A - B], ["no", "yes"]), ([A, B, C - A], [3, 5, 7])],
    ids=["two classes", "three classes"],
)
def test__export_onnx__classifier__labels_and_probabilities(expressions, classes, tmp_path):
    pytest.importorskip("onnxruntime")
    symbolic = formula(*expressions, classes=classes)
    symbolic.export_onnx(tmp_path / "out", dtype="float64")
    runner = zoo.load_onnx(tmp_path / "out")
    X = rows()
    np.testing.assert_array_equal(runner.predict(X), symbolic.predict(X))
    np.testing.assert_allclose(runner.predict_proba(X), symbolic.predict_proba(X), atol=1e-9)


def test__export_onnx__unknown_function__is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(ExportError, match=r"may hold arithmetic and .* Got gamma"):
        formula(sympy.gamma(A + 3)).export_onnx(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test__export_onnx__several_outputs(tmp_path):
    pytest.importorskip("onnxruntime")
    symbolic = formula(A + B, sympy.Integer(2), A * C)
    symbolic.export_onnx(tmp_path / "out", dtype="float64")
    X = rows()
    result = zoo.load_onnx(tmp_path / "out").predict(X)
    assert result.shape == (40, 3)
    np.testing.assert_allclose(result, symbolic.predict(X), atol=1e-9)


def test__predict_proba__is_the_logistic_function_of_the_logit():
    symbolic = formula(A - B, classes=["no", "yes"])
    X = rows()
    chance = 1 / (1 + np.exp(-(X[:, 0] - X[:, 1])))
    np.testing.assert_allclose(symbolic.predict_proba(X), np.stack([1 - chance, chance], 1))
    assert symbolic.predict(X).tolist() == np.where(chance > 0.5, "yes", "no").tolist()


def test__predict_proba__regression__is_an_error():
    with pytest.raises(AttributeError, match="regression has no predict_proba"):
        formula(A).predict_proba(rows())


def test__predict__data_frame__columns_by_name():
    X = rows()
    table = pd.DataFrame(X, columns=NAMES)
    shuffled = table[[NAMES[2], NAMES[0], NAMES[1]]].assign(other="text")
    symbolic = formula(A - 2 * B + C**2)
    np.testing.assert_allclose(symbolic.predict(shuffled), symbolic.predict(X))


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (
            pd.DataFrame({"x_1": [1.0]}),
            r"must have the columns .* Missing: \['sepal length \(cm\)'",
        ),
        (np.zeros((2, 2)), r"must have 3 features\. Got 2"),
        (np.full((4, 3), -9.0), r"not on 4 of 4, row 0 first"),
    ],
)
def test__predict__unusable_rows__says_why(X, match):
    with pytest.raises(DataError, match=match):
        formula(sympy.log(A)).predict(X)


def test__score__is_r2_and_accuracy():
    X = rows()
    assert formula(A * B).score(X, X[:, 0] * X[:, 1]) == pytest.approx(1.0)
    assert formula(A * B).score(X, X[:, 0] * X[:, 1] + 1) < 1.0
    labels = np.where(X[:, 0] > 0, "yes", "no")
    assert formula(A, classes=["no", "yes"]).score(X, labels) == 1.0


def test__latex__escapes_names_that_are_no_identifiers():
    text = formula(A * C + B).latex()
    assert r"\text{sepal length (cm)}" in text
    assert r"\text{50\% \& more}" in text
    assert "x_{1}" in text
    assert formula(A)._repr_latex_().startswith("$$")


def test__text__names_outputs_and_ends_in_the_verdict():
    symbolic = formula(2.50 * A, B)
    symbolic.verdict_ = "The formula explains nothing."
    assert str(symbolic).splitlines() == [
        "y0 = 2.5*sepal length (cm)",
        "y1 = x_1",
        "The formula explains nothing.",
    ]
    assert str(formula(A, classes=["no", "yes"])) == "logit P(yes) = sepal length (cm)"


def test__pickle__round_trip():
    symbolic = formula(sympy.exp(A) - B, classes=["no", "yes"])
    again = pickle.loads(pickle.dumps(symbolic))
    np.testing.assert_array_equal(again.predict(rows()), symbolic.predict(rows()))
    assert again.expressions_ == symbolic.expressions_


def test__complexity__counts_nodes_of_all_expressions():
    assert formula(A * B, A).complexity_ == 4
    assert formula(A * B).to_sympy() == A * B
    assert formula(A, B).to_sympy() == [A, B]


@pytest.mark.parametrize(
    ("score", "network", "start"),
    [
        (0.93, 0.99, "The formula falls short of the network: R2 0.9300 against 0.9900"),
        (0.99, 0.991, "The formula explains the data as well as the network"),
        (0.05, 0.9, "No formula found: the best one explains little"),
        (0.0, 0.01, "No formula found, and the network explains nothing either"),
        (1.0, 0.8, "The formula explains the data better than the network"),
    ],
)
def test__verdict__does_not_pretend(score, network, start):
    assert verdict(score, network, "R2").startswith(start)


def test__pareto_front__both_columns_strictly_increase():
    rng = np.random.default_rng(0)
    table = [
        FormulaRow(0, int(size), float(r2), 0.0, 0.0, sympy.Integer(number))
        for number, (size, r2) in enumerate(
            zip(rng.integers(1, 9, 40), rng.uniform(size=40), strict=True)
        )
    ]
    front = pareto_front(table)
    assert all(a.complexity < b.complexity for a, b in itertools.pairwise(front))
    assert all(a.r2 < b.r2 for a, b in itertools.pairwise(front))
    for row in table:
        assert any(f.complexity <= row.complexity and f.r2 >= row.r2 for f in front)


def test__format_table__one_line_per_row():
    text = format_table([FormulaRow(0, 3, 0.5, 0.25, 1.0, sympy.Float(2.5) * A)])
    header, line = text.splitlines()
    assert "held out" in header
    assert line.split()[:4] == ["0", "3", "0.50000", "0.25000"]
    assert line.endswith("2.5*sepal length (cm)")


def test__evaluate_expression__foreign_function__goes_through_lambdify():
    value = evaluate_expression(sympy.sinc(A), {A: np.array([0.5, 1.0])}, 2)
    np.testing.assert_allclose(value, np.sin([0.5, 1.0]) / [0.5, 1.0])
