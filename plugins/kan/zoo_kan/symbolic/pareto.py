"""The trade-off between the length of a formula and what it explains."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sympy

__all__ = ["FormulaRow", "format_table", "formula_text", "pareto_front"]


@dataclass(frozen=True)
class FormulaRow:
    """One formula of the trade-off.

    Attributes
    ----------
    output : int
        Which output of the network it stands for.
    complexity : int
        Nodes of the expression.
    r2 : float
        Share of the deviance explained on the data: the coefficient of determination of a
        regression; for a classifier one minus its log loss over that of a constant.
    r2_held_out : float
        The same on a fifth of the rows, with the constants fitted to the others. NaN if there are
        fewer than 20 rows.
    description_length : float
        Nats by which formulas are compared; only differences mean something.
    expression : sympy.Expr
    consistent : bool or None
        Whether its units agree without a number that has units; None if units were not given.
    """

    output: int
    complexity: int
    r2: float
    r2_held_out: float
    description_length: float
    expression: sympy.Expr
    consistent: bool | None = None


def pareto_front(rows: Iterable[FormulaRow]) -> list[FormulaRow]:
    """Rows that no simpler row explains as well, simplest first.

    Parameters
    ----------
    rows : iterable of FormulaRow
        Of one output.

    Returns
    -------
    list of FormulaRow
        Complexity and ``r2`` both strictly increase.
    """
    front: list[FormulaRow] = []
    for row in sorted(rows, key=lambda r: (r.complexity, -r.r2, r.description_length)):
        if not front or row.r2 > front[-1].r2:
            front.append(row)
    return front


def formula_text(expression: sympy.Expr) -> str:
    """An expression as text, numbers without trailing zeros."""
    return sympy.sstr(expression, full_prec=False)


def format_table(rows: Sequence[FormulaRow]) -> str:
    """Rows as text, one line each."""
    lines = [f"{'output':>6} {'nodes':>5} {'R2':>9} {'held out':>9}  formula"]
    for row in rows:
        lines.append(
            f"{row.output:>6} {row.complexity:>5} {row.r2:>9.5f} {row.r2_held_out:>9.5f}  "
            f"{formula_text(row.expression)}"
        )
    return "\n".join(lines)
