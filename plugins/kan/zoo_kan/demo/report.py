"""One self-contained HTML page from the chapters of the demonstration.

Pictures are inlined and formulas are MathML, so the page needs no network and no script.
"""

import base64
import platform
from collections.abc import Sequence
from html import escape
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import sympy
from sympy.printing.mathml import MathMLPresentationPrinter

from zoo_kan.demo.chapter import Chapter, Finding, Formula, OnnxRecord, Picture, Table

__all__ = ["write_report"]

_MARKS = {True: ("yes", "✓"), False: ("no", "✗"), None: ("note", "·")}
_PACKAGES = ("zoo-estimators", "zoo-kan", "scikit-learn", "numpy", "torch", "onnxruntime")


def write_report(chapters: Sequence[Chapter], path: Path, *, seconds: float) -> None:
    """Write the page.

    Parameters
    ----------
    chapters : sequence of Chapter
    path : Path
        The file, replaced if it exists.
    seconds : float
        How long the whole demonstration took.
    """
    style = resources.files("zoo_kan.demo").joinpath("report.css").read_text(encoding="utf-8")
    contents = "".join(_card(chapter) for chapter in chapters)
    body = "".join(_chapter(chapter, path.parent) for chapter in chapters)
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>zoo: Kolmogorov-Arnold networks on real data</title>
<style>{style}</style>
</head>
<body>
<header>
<p class="eyebrow">zoo demo</p>
<h1>Fit a network, read a formula, ship a graph</h1>
<p class="lead">Kolmogorov-Arnold networks (<a href="https://arxiv.org/abs/2404.19756">arXiv
2404.19756</a>) as scikit-learn estimators, on three kinds of real data. Everything on this page
was computed in {seconds:.0f} seconds on this machine; nothing was stored beforehand.</p>
<div class="cards">{contents}</div>
</header>
<main>{body}</main>
<footer>
<h2>How to reproduce it</h2>
<pre><code>pip install 'zoo-kan[plot]' 'zoo-estimators[onnx,table]'
zoo demo</code></pre>
<p>Random seeds are fixed. Times depend on the machine. {escape(_versions())}</p>
</footer>
</body>
</html>
"""
    path.write_text(page, encoding="utf-8")


def _card(chapter: Chapter) -> str:
    verdicts = [finding for finding in chapter.findings if finding.holds is not None]
    good = all(finding.holds for finding in verdicts)
    kind, mark = _MARKS[good]
    first = chapter.findings[0].text if chapter.findings else ""
    return (
        f'<a class="card" href="#{escape(chapter.name)}"><span class="mark {kind}">{mark}</span>'
        f"<strong>{escape(chapter.title)}</strong><span>{escape(first)}</span></a>"
    )


def _chapter(chapter: Chapter, home: Path) -> str:
    parts = [
        f'<section id="{escape(chapter.name)}"><h2>{escape(chapter.title)}</h2>',
        f'<p class="question">{escape(chapter.question)}</p>',
        f"<p>{escape(chapter.data)}</p>",
        _findings(chapter.findings),
    ]
    if chapter.formula is not None:
        parts.append(_formula(chapter.formula, chapter.name))
    parts += [_table(table) for table in chapter.tables]
    if chapter.pictures:
        wide, *rest = chapter.pictures
        parts.append(_picture(wide))
        parts.append(f'<div class="pair">{"".join(map(_picture, rest))}</div>' if rest else "")
    if chapter.onnx is not None:
        parts.append(_onnx(chapter.onnx, home))
    if chapter.code:
        parts.append(
            "<details><summary>The code, in short</summary>"
            f"<pre><code>{escape(chapter.code.strip())}</code></pre></details>"
        )
    parts.append("</section>")
    return "\n".join(parts)


def _findings(findings: list[Finding]) -> str:
    lines = []
    for finding in findings:
        kind, mark = _MARKS[finding.holds]
        lines.append(
            f'<li><span class="mark {kind}">{mark}</span><span>{escape(finding.text)}</span></li>'
        )
    return f'<ul class="findings">{"".join(lines)}</ul>'


def _formula(formula: Formula, folder: str) -> str:
    left, right = _mathml(formula.symbol), _mathml(formula.rounded())
    text = f"{formula.symbol} = {formula.rounded()}"
    return (
        f'<figure class="formula"><div class="scroll"><math display="block"><mrow>{left}'
        f"<mo>=</mo>{right}</mrow></math></div><figcaption>{escape(formula.name)}. "
        f"{escape(formula.note)} <span>Constants are rounded here to {formula.digits} digits; all "
        f'are in <a href="{escape(folder)}/formula.txt">formula.txt</a> and '
        f'<a href="{escape(folder)}/formula.tex">formula.tex</a>.</span></figcaption>'
        f"<details><summary>As text</summary><pre><code>{escape(text)}</code></pre></details>"
        "</figure>"
    )


class _Printer(MathMLPresentationPrinter):
    """Writes a column's name as it is, escaped; sympy would make subscripts of its digits."""

    def _print_Symbol(self, symbol: sympy.Symbol, style: str = "plain") -> Any:
        element = self.dom.createElement("mi" if len(symbol.name) == 1 else "mtext")
        element.appendChild(self.dom.createTextNode(escape(symbol.name)))
        return element


def _mathml(expression: sympy.Expr) -> str:
    return str(_Printer({"mul_symbol": "dot"}).doprint(expression))


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(table.caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _picture(picture: Picture) -> str:
    data = base64.b64encode(picture.path.read_bytes()).decode("ascii")
    caption = escape(picture.caption)
    return (
        f'<figure class="picture"><img alt="{caption}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _onnx(record: OnnxRecord, home: Path) -> str:
    folder = record.folder.relative_to(home).as_posix()
    facts = (
        ("rows", f"{record.n_rows:,}"),
        ("largest difference", f"{record.worst:.1e}"),
        ("time for all rows", f"{record.milliseconds:.2g} ms"),
        ("size", f"{record.size / 1024:.0f} KiB"),
    )
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return (
        '<div class="onnx"><h3>Shipped as ONNX</h3><p>The whole pipeline was written to '
        f"<code>{escape(folder)}</code> and run by onnxruntime in a process where torch and "
        "scikit-learn cannot be imported. Differences are relative to the largest prediction."
        f"</p><dl>{cells}</dl></div>"
    )


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found) + "."
