import io
import json
from fractions import Fraction
from html.parser import HTMLParser

import numpy as np
import pytest
import sympy
from rich.console import Console

from zoo_kan.demo import run, tabular
from zoo_kan.demo.chapter import Chapter, Finding, Formula, Picture, Table
from zoo_kan.demo.comparison import Comparison, Metric
from zoo_kan.demo.kepler import PowerLaw, Slopes, judge, read_power_law, simplest_fraction
from zoo_kan.demo.parity import measure
from zoo_kan.demo.report import write_report

LOG_A, LOG_M = sympy.symbols("log_a log_M")
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002"
    "00015453ad3a0000000049454e44ae426082"
)


HALF = sympy.Rational(1, 2)


def slopes(p=1.4995, q=-0.4998, scatter=0.0005):
    left_out = np.array([[p + s, q - s] for s in (-scatter, 0.0, scatter)])
    return Slopes(np.array([p, q]), left_out)


def power_law(constant, p, q):
    return PowerLaw(*map(sympy.sympify, (constant, p, q)))


def test__read_power_law__linear_formula__gives_constant_and_exponents():
    law = read_power_law(3 * LOG_A / 2 - LOG_M / 2 + sympy.log(2))
    assert law == PowerLaw(sympy.Integer(2), 3 * HALF, -HALF)
    assert str(law) == "T = 2.000 · a^(3/2) · M^(-1/2)"


@pytest.mark.parametrize(
    "expression", [LOG_A**2, LOG_A * LOG_M, sympy.sin(LOG_A), LOG_A + sympy.Symbol("other")]
)
def test__read_power_law__anything_else__is_no_power_law(expression):
    assert read_power_law(expression) is None


def test__read_power_law__without_one_variable__has_exponent_zero():
    assert read_power_law(3 * LOG_A) == power_law(1, 3, 0)


def test__slopes__errors__are_those_of_the_jackknife():
    found = slopes(scatter=0.3).errors
    np.testing.assert_allclose(found, np.sqrt(2 / 3 * 2 * 0.3**2))


def test__simplest_fraction__is_the_smallest_denominator_within_three_errors():
    assert simplest_fraction(1.4991, 0.0005) == Fraction(3, 2)
    assert simplest_fraction(-0.5001, 0.0002) == Fraction(-1, 2)
    assert simplest_fraction(0.6667, 0.0005) == Fraction(2, 3)
    odd = simplest_fraction(np.sqrt(2), 0.0001)
    assert abs(float(odd) - np.sqrt(2)) <= 0.0003
    for denominator in range(1, odd.denominator):
        nearest = round(np.sqrt(2) * denominator) / denominator
        assert abs(nearest - np.sqrt(2)) > 0.0003


@pytest.mark.parametrize(
    ("law", "holds"),
    [
        (power_law(1, 3 * HALF, -HALF), True),
        (power_law(1.001, 1.4995, -0.4998), True),
        (power_law(1, 5 * HALF / 3, -HALF), False),
        (power_law(1.001, 1.6667, -0.4998), False),  # another exponent
        (power_law(1.001, 1.4995, 0.5002), False),  # heavier bodies would slow their moons down
        (power_law(1.2, 3 * HALF, -HALF), False),  # another constant
        (power_law(1.0, 1.49, -0.5), False),  # near, but away by more than the errors allow
    ],
)
def test__judge__compares_with_the_law(law, holds):
    findings = judge(law, slopes(), [law, None, power_law(1, 3 * HALF, -HALF)])
    assert findings[0].holds is holds
    assert ("was not found" in findings[0].text) is not holds
    assert f"found {1 + holds} times out of 3" in findings[2].text


def test__judge__no_power_law__says_so():
    (finding,) = judge(None, slopes(), [])
    assert finding.holds is False
    assert "not a power law" in finding.text


def comparison(own, rival, share=0.25):
    return Comparison(
        metrics=[Metric("R²", "r2")],
        scores={"KAN": np.array(own)[:, None], "ridge": np.array(rival)[:, None]},
        seconds={"KAN": np.ones(len(own)), "ridge": np.ones(len(own))},
        unseen={},
        test_share=share,
    )


def test__comparison__verdict__needs_twice_the_corrected_error():
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.01, size=10)
    error = np.sqrt(noise.var(ddof=1) * (1 / 10 + 0.25))
    noise -= noise.mean()
    base = np.full(10, 0.5)
    for shift, relation, holds in (
        (2.1 * error, "better than", True),
        (1.9 * error, "as good as", True),
        (-1.9 * error, "as good as", True),
        (-2.1 * error, "worse than", False),
    ):
        (finding,) = comparison(base + noise + shift, base).verdicts()
        assert relation in finding.text
        assert finding.holds is holds


def test__comparison__table__shows_mean_and_deviation():
    table = comparison([0.4, 0.6], [0.1, 0.1]).table("caption")
    assert table.rows == [["KAN", "0.500 ± 0.141", "1.00 s"], ["ridge", "0.100 ± 0.000", "1.00 s"]]


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.tags, self.depth = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]


def test__write_report__is_one_page_without_script_and_escapes_names(tmp_path):
    picture = tmp_path / "network.png"
    picture.write_bytes(PNG)
    name = "<script>x</script>"
    chapter = Chapter(
        name="part",
        title="A & B",
        question=name,
        data=name,
        findings=[Finding(name, holds=True), Finding("no", holds=False), Finding("note")],
        formula=Formula("y", sympy.Symbol("y"), 1.23456789 * sympy.Symbol(name), name),
        tables=[Table([name], [[name]], name)],
        pictures=[Picture(picture, name)],
        code=name,
    )
    write_report([chapter], tmp_path / "report.html", seconds=1.0)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert "<mn>1.235</mn>" in text
    outside = [link for link in page.links if not link.startswith(("data:image/png", "#", "part/"))]
    assert outside == ["https://arxiv.org/abs/2404.19756"]  # to read, nothing is loaded


def test__formula__written__reads_back_with_all_digits(tmp_path):
    x = sympy.Symbol("x")
    formula = Formula("y", sympy.Symbol("y"), sympy.Float("1.2345678901234") * x, "")
    formula.write(tmp_path)
    left, right = (tmp_path / "formula.txt").read_text().split(" = ")
    assert left == "y"
    assert sympy.sympify(right) == sympy.Float("1.2345678901234") * x
    assert (tmp_path / "formula.tex").read_text() == "y = 1.2345678901234 x\n"


def test__measure__folder_that_cannot_run__says_why(tmp_path):
    from zoo.errors import VerificationError

    with pytest.raises(VerificationError, match="does not run without torch"):
        measure(tmp_path / "absent", {"x": np.zeros(2)}, "predict", lambda: np.zeros(2))


@pytest.mark.slow
def test__demo__fewer_folds__finds_the_law_and_writes_everything(tmp_path, monkeypatch):
    for name, value in (("FOLDS", 2), ("REPEATS", 1), ("STEPS", 5)):
        monkeypatch.setattr(tabular, name, value)
    output = io.StringIO()
    run(tmp_path, Console(file=output, width=100))
    for name, pictures in (
        ("kepler", ("orbits.png", "network.png", "predicted.png")),
        ("diabetes", ("network.png", "predicted.png")),
        ("breast_cancer", ("network.png", "roc.png")),
    ):
        home = tmp_path / name
        for picture in pictures:
            assert (home / picture).read_bytes().startswith(b"\x89PNG")
        assert " = " in (home / "formula.txt").read_text(encoding="utf-8")
        assert (home / "formula.tex").stat().st_size
        assert json.loads((home / "onnx" / "zoo.json").read_text(encoding="utf-8"))
    printed = " ".join(output.getvalue().replace("│", " ").split())
    assert "Kepler's third law, found" in printed
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert report.count("data:image/png;base64") == 7
    assert "Kepler&#x27;s third law, found" in report
