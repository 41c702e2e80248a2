"""Formulas and the names in them in LaTeX."""

import re

import sympy

__all__ = ["latex_formula", "latex_name"]

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)?\Z")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{mark: "\\" + mark for mark in "_%&#${}"},
}


def latex_name(name: str) -> str:
    """A column's name in LaTeX: as text, unless it reads as a symbol like ``x_1``."""
    if _PLAIN.match(name):
        return str(sympy.latex(sympy.Symbol(name)))
    return r"\text{" + "".join(_LATEX.get(mark, mark) for mark in name) + "}"


def latex_formula(expression: sympy.Expr) -> str:
    """An expression in LaTeX; products have a dot where a name is longer than one letter."""
    names = {symbol: latex_name(symbol.name) for symbol in expression.free_symbols}
    wordy = any(len(re.split(r"[_0-9]", symbol.name)[0]) > 1 for symbol in names)
    return str(
        sympy.latex(
            expression,
            symbol_names=names,
            full_prec=False,
            mul_symbol="dot" if wordy else None,
        )
    )
