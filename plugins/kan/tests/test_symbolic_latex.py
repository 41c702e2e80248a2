import pytest
import sympy

from zoo_kan.symbolic.latex import latex_formula, latex_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [("x", "x"), ("x_1", "x_{1}"), ("petal length (cm)", r"\text{petal length (cm)}")],
)
def test__latex_name__symbol_or_text__is_escaped(name, expected):
    assert latex_name(name) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [(("m", "v"), "m v"), (("m_1", "x2"), "m_{1} x_{2}"), (("bmi", "s5"), r"bmi \cdot s_{5}")],
)
def test__latex_formula__product__has_a_dot_where_names_are_words(names, expected):
    assert latex_formula(sympy.Mul(*sympy.symbols(names))) == expected


def test__latex_formula__hostile_name__stays_text():
    expression = 2 * sympy.Symbol(r"a}\input{b$")
    assert latex_formula(expression) == r"2 \cdot \text{a\}\textbackslash{}input\{b\$}"
