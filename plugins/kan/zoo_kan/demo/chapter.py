"""What one part of the demonstration found, as data; `zoo_kan.demo.report` renders it."""

from dataclasses import dataclass, field
from pathlib import Path

import sympy

from zoo_kan.symbolic.latex import latex_formula

__all__ = ["Chapter", "Finding", "Formula", "OnnxRecord", "Picture", "Table"]


@dataclass(frozen=True)
class Finding:
    """One sentence of the result.

    Attributes
    ----------
    text : str
    holds : bool or None
        Whether what the demonstration set out to show came true; None for a remark.
    """

    text: str
    holds: bool | None = None


@dataclass(frozen=True)
class Table:
    """A table of text; the first row of ``rows`` is the plugin's own model."""

    columns: list[str]
    rows: list[list[str]]
    caption: str


@dataclass(frozen=True)
class Picture:
    """A PNG file and what it shows."""

    path: Path
    caption: str


@dataclass(frozen=True)
class Formula:
    """A formula ``name = expression``.

    Attributes
    ----------
    name : str
        What it computes, in the user's words.
    symbol : sympy.Expr
        The left-hand side.
    expression : sympy.Expr
    note : str
        How well it does, one sentence.
    digits : int, default=4
        Significant digits of the constants, for reading.
    """

    name: str
    symbol: sympy.Expr
    expression: sympy.Expr
    note: str
    digits: int = 4

    def rounded(self) -> sympy.Expr:
        """The expression with its constants rounded."""
        return self.expression.xreplace(
            {number: _round(number, self.digits) for number in self.expression.atoms(sympy.Float)}
        )

    def write(self, folder: Path) -> None:
        """Write ``formula.txt`` and ``formula.tex``, with all digits."""
        text = f"{self.symbol} = {self.expression}\n"
        tex = f"{latex_formula(self.symbol)} = {latex_formula(self.expression)}\n"
        (folder / "formula.txt").write_text(text, encoding="utf-8")
        (folder / "formula.tex").write_text(tex, encoding="utf-8")


def _round(number: sympy.Float, digits: int) -> sympy.Number:
    rounded = float(f"{float(number):.{digits}g}")
    return sympy.Integer(rounded) if rounded.is_integer() else sympy.Float(number, digits)


@dataclass(frozen=True)
class OnnxRecord:
    """How an exported pipeline did in a process that has no torch and no scikit-learn.

    Attributes
    ----------
    folder : Path
    n_rows : int
    worst : float
        Largest difference to the fitted pipeline, relative to the largest prediction.
    milliseconds : float
        Time for all rows.
    size : int
        Bytes of the folder.
    """

    folder: Path
    n_rows: int
    worst: float
    milliseconds: float
    size: int


@dataclass
class Chapter:
    """One part: a question asked of real data, and what came out."""

    name: str
    title: str
    question: str
    data: str
    findings: list[Finding] = field(default_factory=list)
    formula: Formula | None = None
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    onnx: OnnxRecord | None = None
    code: str = ""
