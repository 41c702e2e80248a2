"""``zoo kan formula`` and ``zoo kan plot`` from a table to the formula in its columns."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import sympy
from typer.testing import CliRunner

from zoo.cli.app import app

ROWS = 120


def cli(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def one_error(result):
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    line = result.stderr.splitlines()[-1]
    assert line.startswith("Error: ")
    return line


def flats():
    """Rents that follow a law in a number, a category with a missing value, and a boolean."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "area": rng.uniform(20, 120, ROWS),
            "town": rng.choice(["Ulm", "Bonn", "Kiel"], ROWS),
            "lift": rng.random(ROWS) < 0.5,
        }
    )
    frame["rent"] = 2 * frame["area"] + 30 * (frame["town"] == "Ulm") + 5 * frame["lift"]
    return frame


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("commands")


@pytest.fixture(scope="module")
def regression(home):
    flats().to_csv(home / "rents.csv", index=False)
    result = cli("fit", "kan", home / "rents.csv", "-t", "rent", "-o", home / "rents")
    assert result.exit_code == 0
    return home / "rents"


@pytest.fixture(scope="module")
def classification(home):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(200, 2))
    chance = 1 / (1 + np.exp(-(2 * x[:, 0] - x[:, 1])))
    label = np.where(rng.random(200) < chance, "up", "down")
    frame = pd.DataFrame({"u": x[:, 0], "v": x[:, 1], "way": label})
    frame.to_csv(home / "ways.csv", index=False)
    assert cli("fit", "kan", home / "ways.csv", "-t", "way", "-o", home / "ways").exit_code == 0
    return home / "ways"


def parse(text):
    """A formula in the words of the table as sympy sees it."""
    names = {f"[town = {town}]": town for town in ("Ulm", "Bonn", "Kiel")}
    for name, short in names.items():
        text = text.replace(name, short)
    return sympy.sympify(text)


def test__formula__of_a_law__is_the_law_in_the_tables_words(regression):
    result = cli("kan", "formula", regression)
    assert result.exit_code == 0
    formula, verdict = result.stdout.splitlines()
    side, _, right = formula.partition(" = ")
    assert side == "rent"
    found = parse(right)
    area, lift, ulm, bonn, kiel = sympy.symbols("area lift Ulm Bonn Kiel")
    for town in (ulm, bonn, kiel):  # exactly one indicator is one
        at = {symbol: int(symbol == town) for symbol in (ulm, bonn, kiel)}
        difference = found.subs(at) - (2 * area + 30 * at[ulm] + 5 * lift)
        for value in (30, 70, 110):
            for there in (0, 1):
                assert abs(difference.subs({area: value, lift: there})) < 0.01
    assert verdict.startswith("The formula explains the data as well as the network")


def test__formula__json__has_all_digits_and_the_trade_off(regression):
    report = json.loads(cli("kan", "formula", regression, "--json").stdout)
    assert report["target"] == "rent"
    assert report["task"] == "regression"
    assert report["classes"] is None
    assert report["features"] == ["area", "lift", "[town = Bonn]", "[town = Kiel]", "[town = Ulm]"]
    assert report["score"] > 0.9999
    assert report["verdict"]
    assert report["formulas"][0]["computes"] == "rent"
    complexities = [row["complexity"] for row in report["simpler"]]
    assert complexities == sorted(complexities)
    assert {row["computes"] for row in report["simpler"]} == {"rent"}


def test__formula__latex__escapes_names_that_are_no_symbols(regression):
    stdout = cli("kan", "formula", regression, "--latex").stdout
    assert stdout.startswith("rent = ")
    assert r"\text{[town = Ulm]}" in stdout


def test__formula__simpler__adds_a_table(regression):
    stdout = cli("kan", "formula", regression, "-n", "2").stdout
    rows = [line for line in stdout.splitlines() if re.match(r"\s+\d+\s+\d\.\d{4}", line)]
    assert len(rows) == 2


def test__formula__digits__rounds_the_constants(home, regression):
    text = cli("kan", "formula", regression, "--digits", "2", "-n", "9").stdout
    assert not re.search(r"\d\.\d{4,}\*", text)


def test__formula__output_file__holds_what_is_otherwise_printed(home, regression):
    printed = cli("kan", "formula", regression).stdout
    result = cli("kan", "formula", regression, "-o", home / "formula.txt")
    assert result.stdout == ""
    assert (home / "formula.txt").read_text() == printed


def test__formula__export__runs_on_the_same_kind_of_table(home, regression):
    folder = home / "formula-onnx"
    result = cli("kan", "formula", regression, "--export", folder)
    assert result.exit_code == 0
    new = flats().iloc[:20].drop(columns="rent")[["town", "lift", "area"]]
    new.loc[2, "area"] = np.nan
    new.to_csv(home / "new.csv", index=False)
    ran = cli("run", folder, home / "new.csv")
    assert ran.exit_code == 0
    got = [float(line) for line in ran.stdout.splitlines()[1:]]
    expected = flats()["rent"].iloc[:20].to_numpy().copy()
    predicted = cli("predict", regression, home / "new.csv").stdout.splitlines()[1:]
    expected[2] = float(predicted[2])  # the median stands for the missing area
    assert got == pytest.approx(expected.tolist(), abs=0.01)
    assert "--overwrite replaces it" in one_error(
        cli("kan", "formula", regression, "--export", folder)
    )


def test__formula__of_a_classifier__is_a_logit(home, classification):
    stdout = cli("kan", "formula", classification).stdout
    assert stdout.startswith("logit P(way = up) = ")
    assert "accuracy" in stdout
    report = json.loads(cli("kan", "formula", classification, "--json").stdout)
    assert report["classes"] == ["down", "up"]
    logit = sympy.sympify(report["formulas"][0]["expression"])
    u, v = sympy.symbols("u v")
    assert logit.subs({u: 2, v: 0}) > 0 > logit.subs({u: -2, v: 0})


def test__export_and_run__of_a_classifier__give_the_predicted_numbers(home, classification):
    folder = home / "ways-onnx"
    assert cli("export", classification, folder).exit_code == 0
    predicted = cli("predict", classification, home / "ways.csv", "--proba").stdout.splitlines()
    ran = cli("run", folder, home / "ways.csv", "--proba").stdout.splitlines()
    assert ran[0] == predicted[0] == "prediction,probability of down,probability of up"
    for first, second in zip(predicted[1:], ran[1:], strict=True):
        label, *chances = first.split(",")
        other, *others = second.split(",")
        assert label == other
        assert [float(v) for v in others] == pytest.approx([float(v) for v in chances], abs=1e-9)


def test__plot__writes_a_picture(home, regression):
    for name, magic in (("net.png", b"\x89PNG"), ("net.svg", b"<?xml"), ("net.pdf", b"%PDF")):
        result = cli("kan", "plot", regression, "-o", home / name)
        assert result.stdout == f"Wrote {home / name}.\n"
        assert (home / name).read_bytes().startswith(magic)
    assert "[town = Ulm]" in (home / "net.svg").read_text()


def test__plot__of_a_classifier__is_drawn(home, classification):
    assert cli("kan", "plot", classification, "-o", home / "ways.png").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["formula", "{run}", "--latex", "--json"], "--latex and --json cannot be had at once."),
        (["formula", "{home}/nothing"], "there is no such folder"),
        (["formula", "{home}"], "is no run: it has no run.json"),
        (["formula", "{run}", "-o", "{home}/no/f.txt"], "there is no folder"),
        (["plot", "{run}", "-o", "{home}/net.bmp"], "must be a .png, .svg or .pdf"),
        (["plot", "{run}", "-o", "{home}/no/net.png"], "there is no folder"),
    ],
)
def test__commands__wrong_arguments__are_refused(home, regression, arguments, message):
    filled = [argument.format(home=home, run=regression) for argument in arguments]
    assert message in one_error(cli("kan", *filled))


def test__formula__of_a_run_without_rows__says_so(home, regression):
    folder = home / "no-rows"
    command = ("fit", "kan", home / "rents.csv", "-t", "rent", "-o", folder)
    assert cli(*command, "-p", "keep_rows=0", "-p", "hidden=()", "-p", "grid=3").exit_code == 0
    assert "fitted with keep_rows=0" in one_error(cli("kan", "formula", folder))
    assert cli("kan", "plot", folder, "-o", home / "no-rows.png").exit_code == 0


def test__formula__of_another_model__is_refused(home, regression, monkeypatch):
    from zoo.table import Run

    class Other:
        estimator = object()

    monkeypatch.setattr(Run, "load", lambda folder: Other)
    assert "must hold a KANRegressor or KANClassifier. Got a object" in one_error(
        cli("kan", "formula", regression)
    )


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("x,y\n1,2.5\n2,4.1\n3,6.2\n", 0, "3 rows are too few"),
        ("x,c,y\n1,7,2.5\n2,7,4.1\n3,7,6.2\n4,7,8.1\n", 0, "'c' is left out: it is constant (7)"),
        ("x,c,y\n1,a,2.5\n2,a,4.1\n3,a,6.2\n4,a,8.1\n", 0, "one category only ('a')"),
        ("x,y\n1,2.5\n,4.1\n3,6.2\n4,\n5,9.9\n", 0, "1 of 5 rows are left out"),
        ("", 2, "is empty"),
        ("x,y\n1,2.5\n", 2, "same value in every row"),
    ],
)
def test__fit__table_of_a_user__works_or_says_why(tmp_path, content, code, message):
    (tmp_path / "data.csv").write_text(content)
    result = cli("fit", "kan", tmp_path / "data.csv", "-t", "y", "-o", tmp_path / "run")
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert (tmp_path / "run").exists() == (code == 0)


def test__fit__bad_parameter_value__is_one_sentence(home, regression):
    command = ("fit", "kan", home / "rents.csv", "-t", "rent", "-o", home / "bad")
    assert "The model 'kan' cannot be fitted: " in one_error(cli(*command, "-p", "order=cubic"))
    assert "no parameter 'hiden'. Did you mean 'hidden'" in one_error(
        cli(*command, "-p", "hiden=3")
    )
