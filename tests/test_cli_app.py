"""The group of commands: help, plugins' commands, errors as one sentence."""

import subprocess
import sys

import pytest

import zoo
from zoo.cli.app import COMMANDS
from zoo.errors import BrokenPluginError, UnknownModelError
from zoo.targets import import_target


def test__help__lists_all_commands_of_core_and_plugins(toy, cli):
    result = cli("--help")
    assert result.exit_code == 0
    for spec in COMMANDS:
        assert spec.summary in result.stdout
    for summary in ("Toys.", "Does not import.", "Formulas and plots of fitted KANs."):
        assert summary in result.stdout


def test__commands__summary__is_the_first_line_of_the_command():
    for spec in COMMANDS:
        (command,) = import_target(spec.target).registered_commands
        assert command.callback.__doc__.splitlines()[0] == spec.summary


@pytest.mark.parametrize("name", [spec.name for spec in COMMANDS])
def test__help_of_a_command__is_shown(cli, name):
    result = cli(name, "--help")
    assert result.exit_code == 0
    assert f" {name} [OPTIONS]" in result.stdout


def test__version__is_shown(cli):
    assert cli("--version").stdout == f"zoo {zoo.__version__}\n"


def test__no_command__shows_the_help(cli):
    result = cli()
    assert result.exit_code == 2
    assert "zoo list" in result.output


def test__unknown_command__suggests_a_close_one(toy, cli):
    result = cli("fitt")
    assert result.exit_code == 2
    assert "No such command 'fitt'. Did you mean 'fit'" in result.stderr
    assert "Did you mean 'toy'" in cli("toyy").stderr


def test__command_of_a_plugin__runs(toy, cli):
    assert cli("toy", "hello", "you").stdout == "hello you\n"


def test__broken_command_of_a_plugin__is_one_sentence_and_hurts_no_other(toy, cli):
    result = cli("broken-toy", "x")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: Cannot import 'zoo_toy_broken:app': "
        "ModuleNotFoundError: No module named 'no_such_module'.\n"
    )
    assert cli("toy", "hello", "you").exit_code == 0
    assert cli("list").exit_code == 0


def test__command_that_is_no_typer_app__is_refused(toy, cli):
    result = cli("strange-toy")
    assert result.exit_code == 2
    assert "'strange-toy' must be a typer.Typer. Got a function." in result.stderr


def test__command_of_a_plugin_that_is_broken__says_so(add_distribution, cli):
    add_distribution(
        "zoo-bad", {"zoo_bad": "raise ValueError('no')"}, entry_points={"bad": "zoo_bad"}
    )
    result = cli("bad", "x")
    assert result.exit_code == 2
    assert "The plugin 'bad' of distribution 'zoo-bad' 1.0 cannot be used: ValueError: no" in (
        result.stderr
    )


def test__plugin_with_a_command_of_the_core__does_not_replace_it(add_distribution, cli):
    source = """
import zoo

@zoo.hookimpl
def zoo_register_commands(register):
    register(zoo.CommandSpec("list", "zoo_thief:app", "Stolen."))
"""
    add_distribution("zoo-thief", {"zoo_thief": source}, entry_points={"thief": "zoo_thief"})
    assert "Stolen." not in cli("--help").stdout
    assert "kan" in cli("list").stdout


def test__debug__raises_the_error_of_the_zoo(toy, cli, monkeypatch):
    monkeypatch.setenv("ZOO_DEBUG", "1")
    with pytest.raises(UnknownModelError, match="No installed model is named 'nothing'"):
        cli("info", "nothing")
    with pytest.raises(BrokenPluginError, match="no_such_module"):
        cli("broken-toy")


def run_main(code, **env):
    import os

    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
    )


BUG = """
import sys, zoo.cli.models
def crash(**options):
    raise RuntimeError("first\\nsecond")
zoo.cli.models.show_models = crash
sys.argv = ["zoo", "list"]
import zoo.cli
zoo.cli.main()
"""


def test__main__bug__is_one_line_and_a_traceback_on_demand():
    result = run_main(BUG)
    assert result.returncode == 1
    assert result.stderr == (
        "Error: Unexpected RuntimeError: first second This is a bug; "
        "ZOO_DEBUG=1 shows where it happened.\n"
    )
    assert "Traceback" in run_main(BUG, ZOO_DEBUG="1").stderr


def test__main__strict_registry_with_a_failure__ends_in_one_sentence():
    command = "import sys; sys.argv = ['zoo', 'list']; import zoo.cli; zoo.cli.main()"
    result = run_main(command, ZOO_STRICT="1", ZOO_PLUGINS="kna")
    assert result.returncode == 2
    assert result.stderr.startswith("Error: The plugin 'kna'")
    assert len(result.stderr.splitlines()) == 1


def test__module__is_the_command():
    result = subprocess.run(
        [sys.executable, "-m", "zoo", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"zoo {zoo.__version__}\n"
