"""``zoo check`` and ``zoo demo``."""

import json

import pytest


@pytest.fixture
def results(monkeypatch):
    """Replace the suite by checks that come out at once."""
    import zoo.testing
    from zoo.testing import CheckResult, Report

    def install(*found):
        results = tuple(CheckResult(name, status, reason, 1.25) for name, status, reason in found)
        calls = []

        def check_model(name, *, skip, only, on_result):
            calls.append((skip, only))
            for result in results:
                if on_result is not None:
                    on_result(result)
            return Report(name, results)

        monkeypatch.setattr(zoo.testing, "check_model", check_model)
        return calls

    return install


def test__check__all_passed__ends_with_zero(toy, cli, results):
    results(("seeds[regression]", "passed", ""), ("onnx[regression]", "skipped", "no exporter"))
    result = cli("check", "toy")
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == [
        "passed seeds[regression] 1.2 s",
        "skipped onnx[regression] 1.2 s no exporter",
        "toy: 1 passed, 0 failed, 1 skipped",
    ]


def test__check__a_failure__ends_with_one(toy, cli, results):
    results(("seeds", "failed", "the seed [bold]changes[/bold] nothing"))
    result = cli("check", "toy")
    assert result.exit_code == 1
    assert "the seed [bold]changes[/bold] nothing" in result.stdout
    assert "toy: 0 passed, 1 failed, 0 skipped" in result.stdout


def test__check__json__is_data_alone(toy, cli, results):
    results(("seeds", "failed", "why"))
    result = cli("check", "toy", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "model": "toy",
        "passed": 0,
        "failed": 1,
        "skipped": 0,
        "checks": [{"name": "seeds", "status": "failed", "reason": "why", "seconds": 1.25}],
    }


def test__check__only_and_skip__reach_the_suite(toy, cli, results):
    calls = results(("seeds", "passed", ""))
    cli("check", "toy", "--only", "seeds", "--skip", "onnx = no exporter yet")
    assert calls == [({"onnx": "no exporter yet"}, ["seeds"])]


def test__check__the_real_suite__runs(toy, cli):
    result = cli("check", "toy", "--only", "constructor", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert [check["name"] for check in report["checks"]] == [
        *("constructor[regression]", "constructor[classification]"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tyo"], "Did you mean 'toy'?"),
        (["toy", "--only", "sedes"], "sedes"),
        (["toy", "--skip", "onnx"], "A --skip must be name=reason. Got 'onnx'."),
    ],
)
def test__check__wrong_arguments__are_refused(toy, cli, arguments, message):
    result = cli("check", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr.splitlines()[-1]


def test__demo__by_name__writes_its_report(toy, cli, tmp_path):
    result = cli("demo", "toy", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert "toy demo" in result.stdout
    assert (tmp_path / "out" / "report.html").read_text() == "<p>toy</p>"


def test__demo__several__get_a_folder_each(toy, cli, tmp_path, monkeypatch):
    from zoo.registry import registry

    demos = registry().demos
    toy_demo = next(entry for entry in demos if entry.spec.name == "toy")
    other = type(toy_demo)(
        type(toy_demo.spec)("other", toy_demo.spec.target), "toy", "zoo-toy", "1.0"
    )
    monkeypatch.setattr(registry(), "demos", [toy_demo, other])
    assert cli("demo", "-o", tmp_path).exit_code == 0
    assert (tmp_path / "toy" / "report.html").is_file()
    assert (tmp_path / "other" / "report.html").is_file()


def test__demo__list__shows_the_summaries(toy, cli):
    assert "Writes a report." in cli("demo", "--list").stdout


def test__demo__unknown_or_unwritable__is_refused(toy, cli, tmp_path):
    result = cli("demo", "tyo")
    assert result.exit_code == 2
    assert "No installed demonstration is named 'tyo'. Did you mean 'toy'?" in result.stderr
    (tmp_path / "file").write_text("")
    result = cli("demo", "toy", "-o", tmp_path / "file")
    assert result.exit_code == 2
    assert "Cannot write" in result.stderr
