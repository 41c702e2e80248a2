"""What is imported when: the promise that listing models costs next to nothing."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {
    *("numpy", "scipy", "sklearn", "pandas", "pyarrow", "torch", "skorch", "sympy"),
    *("onnx", "onnxruntime", "skl2onnx", "skops", "safetensors", "matplotlib", "huggingface_hub"),
}


def loaded_by(code, **variables):
    """Top-level modules that an interpreter has loaded after running some code."""
    code += "\nimport json, sys\nprint(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | variables,
        cwd=ROOT,
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import zoo",
        "import zoo; zoo.ModelSpec, zoo.Checkpoint, zoo.Paper, zoo.hookimpl",
        "import zoo; assert 'kan' in zoo.available()",
        "from zoo.registry import registry; registry().find('kan')",
        "import zoo.loading",
        "import zoo.errors, zoo.files",
    ],
)
def test__listing__heavy_packages__are_not_imported(code):
    loaded = loaded_by(code)
    assert "zoo" in loaded
    assert loaded & HEAVY == set()


def test__import_zoo__loads_nothing_but_itself_beyond_the_standard_library():
    extra = loaded_by("import zoo") - loaded_by("") - set(sys.stdlib_module_names)
    assert extra == {"zoo"}


def test__listing__plugin__imports_its_light_module_only():
    code = (
        "import sys, zoo; zoo.available();"
        "print([m for m in sys.modules if m.startswith('zoo_kan')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert result.stdout.strip() == "['zoo_kan', 'zoo_kan.plugin']"


def test__command_line__help_and_list__import_nothing_heavy():
    for arguments in (["--help"], ["list"]):
        code = (
            f"import sys; sys.argv = ['zoo', *{arguments!r}]\n"
            "from zoo.cli import main\n"
            "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        )
        assert loaded_by(code) & HEAVY == set()


def test__import_linter__all_contracts__are_kept():
    executable = shutil.which("lint-imports", path=os.path.dirname(sys.executable))
    assert executable, "import-linter belongs to the test extra"
    result = subprocess.run(
        [executable, "--no-cache"], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


def test__plugins_of_this_repository__register_by_entry_point_and_nothing_else():
    assert "zoo" in {point.group for point in importlib.metadata.entry_points(name="kan")}
    for path in (ROOT / "zoo").rglob("*.py"):
        assert "zoo_kan" not in path.read_text(encoding="utf-8"), f"{path} names a plugin"
