"""What the commands print: tables without markup, notes on stderr, phases in a terminal."""

import pytest

from zoo.cli.console import Phases, complain, make_table, note, stdout, system_errors
from zoo.cli.fit import parse_params
from zoo.errors import FolderExistsError, ParameterError, SourceError


def test__make_table__brackets__are_text(capsys):
    stdout().print(make_table("formula", "", rows=[("2*[color = red]", None), ("[bold]x", 3)]))
    out = capsys.readouterr().out
    assert "2*[color = red]" in out
    assert "[bold]x" in out


def test__note_and_complain__long_sentence__stays_on_one_line(capsys):
    note("word " * 100)
    complain("word " * 100)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line[:6] for line in err.splitlines()] == ["Note: ", "Error:"]
    assert "\x1b" not in err


def test__phases__without_a_terminal__print_notes_only(capsys):
    with Phases() as phases:
        phases.phase("reading")
        phases.note("a [bold] note")
        phases.phase("fitting")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "Note: a [bold] note\n")


def test__phases__in_a_terminal__show_every_phase_on_stderr(capsys, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with Phases() as phases:
        phases.phase("reading")
        phases.note("a [bold] note")
        phases.phase("fitting")
        phases.describe("fitting (3 of 5)")
    out, err = capsys.readouterr()
    assert out == ""
    assert "a [bold] note" in err
    assert err.count("✓") >= 2
    for word in ("reading", "fitting (3 of 5)", "0:00:00"):
        assert word in err


def test__phases__failing_phase__is_not_ticked(capsys, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")

    def fail():
        with Phases() as phases:
            phases.phase("reading")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert "✓" not in capsys.readouterr().err


def test__system_errors__become_one_sentence_unless_they_are_the_zoos():
    with (
        pytest.raises(SourceError, match=r"Cannot write x: No space left on device\."),
        system_errors("Cannot write x"),
    ):
        raise OSError(28, "No space left on device")
    with pytest.raises(FolderExistsError, match="mine"), system_errors("Cannot write x"):
        raise FolderExistsError("mine")


def test__parse_params__literals__become_python_values():
    pairs = ["a=1", "b=2.5", "c=(5, 3)", "d=silu", "e=true", "f=None", "g={'lr': 0.1}", "h=x=y"]
    values = [1, 2.5, (5, 3), "silu", True, None, {"lr": 0.1}, "x=y", "1", "auto"]
    assert parse_params([*pairs, "i='1'", "j= auto "]) == dict(
        zip("abcdefghij", values, strict=True)
    )


@pytest.mark.parametrize("pair", ["a", "=1", "a b=1", "1a=2"])
def test__parse_params__no_pair__is_refused(pair):
    with pytest.raises(ParameterError, match=r"must be key=value\. Got"):
        parse_params([pair])
