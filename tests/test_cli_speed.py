"""What the light commands import."""

import json
import subprocess
import sys

import pytest

HEAVY = ("numpy", "sklearn", "scipy", "torch", "onnx", "onnxruntime", "pandas", "skops", "sympy")


def loaded_by(*arguments):
    code = f"""
import atexit, contextlib, io, json, sys
out = sys.stdout
atexit.register(lambda: out.write("\\n" + json.dumps(sorted(sys.modules))))
sys.argv = ["zoo", *{arguments!r}]
import zoo.cli
zoo.cli.main()
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode in (0, 2), result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("list", "--json"),
        ("list", "--task", "regression"),
        ("--help",),
        ("--version",),
        ("fit", "--help"),
        ("predict", "--help"),
        ("export", "--help"),
        ("run", "--help"),
        ("check", "--help"),
        ("demo", "--list"),
        ("info", "no-such-model"),
        ("kan", "--help"),
        ("fit", "no-such-model", "x.csv", "--target", "y", "-o", "run"),
    ],
    ids=" ".join,
)
def test__light_command__loads_nothing_heavy(arguments):
    assert loaded_by(*arguments).isdisjoint(HEAVY)


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json")], ids=" ".join)
def test__plain_list__does_without_typer(arguments):
    assert loaded_by(*arguments).isdisjoint({"typer", "pydantic", "click"})
