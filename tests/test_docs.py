import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zoo.hookspecs

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def blocks(page, language):
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test__plugin_page__every_hook_and_its_arguments__is_documented():
    page = (DOCS / "plugins.md").read_text(encoding="utf-8")
    hooks = {
        name: value
        for name, value in vars(zoo.hookspecs).items()
        if name.startswith("zoo_") and callable(value)
    }
    assert hooks
    for name, hook in hooks.items():
        assert f"autofunction:: zoo.hookspecs.{name}" in page, name
        assert inspect.getdoc(hook), name


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test__page__python_blocks__parse(page):
    for block in blocks(page, "python"):
        ast.parse(block)


@pytest.mark.slow
def test__tutorial__all_blocks__run_as_written(tmp_path, monkeypatch):
    pytest.importorskip("zoo_kan", reason="the tutorial is about the KAN plugin")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks("tutorial.md", "python"):
        exec(compile(block, "tutorial.md", "exec"), names)
    assert (tmp_path / "onnx" / "zoo.json").is_file()
    assert "mass" not in str(names["formula"].expressions_[0])
    commands = [line for block in blocks("tutorial.md", "bash") for line in block.splitlines()]
    assert len(commands) == 7
    for command in commands:
        if command.startswith("pip "):
            continue
        program, *arguments = command.split()
        assert program == "zoo"
        subprocess.run([sys.executable, "-m", "zoo", *arguments], check=True, timeout=300)


@pytest.mark.slow
def test__readme__python_blocks__run_as_written_and_print_what_they_say(
    tmp_path, monkeypatch, capsys
):
    pytest.importorskip("zoo_kan", reason="the README is about the KAN plugin")
    monkeypatch.chdir(tmp_path)
    journey, pipeline, plugin = blocks("../README.md", "python")
    names = {}
    for block in (journey, pipeline, plugin):
        exec(compile(block, "README.md", "exec"), names)
    promised = re.search(r"print\(model.to_symbolic\(\)\)\s+# (.*)", journey)[1]
    assert capsys.readouterr().out.splitlines()[0] == promised
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"network.png", "model", "onnx", "pipeline-onnx"}


def test__public_names__of_every_package__are_in_the_api_reference():
    import zoo.onnx
    import zoo.testing

    zoo_kan = pytest.importorskip("zoo_kan", reason="its page is part of the reference")
    reference = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md"))
    for package in (zoo, zoo.onnx, zoo.testing, zoo_kan):
        for name in package.__all__:
            assert re.search(rf"^\s+(~?{package.__name__}\.)?{name}$", reference, re.MULTILINE), (
                name
            )
