"""The example plugin and the core, built as wheels and installed into a clean environment."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "third_party_plugin"


def run(*command, cwd, **variables):
    result = subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | variables,
        cwd=cwd,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Build both distributions from copies, so that nothing is left in the source tree."""
    sources, target = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheels")
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", ".*")
    shutil.copytree(EXAMPLE, sources / "plugin", ignore=unwanted)
    shutil.copytree(ROOT / "zoo", sources / "core" / "zoo", ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources / "core")
    for project in ("core", "plugin"):
        build = ["build", "--wheel", "--no-isolation", "--outdir", target, sources / project]
        run(sys.executable, "-m", *build, cwd=sources)
    return sorted(target.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheels, tmp_path_factory):
    """Interpreter of an environment with the two wheels.

    numpy, scikit-learn and the others are not downloaded again: a .pth file adds the folder they
    are in to the end of the path. The core and the plugin come from the wheels, since .pth files
    in that folder (editable installs) are not processed.
    """
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    interpreter = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    options = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    options += ["--ignore-installed"]  # the dependencies' folder may hold another copy of the core
    install = ["--python", interpreter, "install", *options, *wheels]
    run(sys.executable, "-m", "pip", *install, cwd=folder)
    return interpreter


def test__wheels__hold_the_package_and_nothing_else(wheels):
    plugin, core = sorted(wheels, key=lambda path: "zoo_estimators" in path.name)
    with zipfile.ZipFile(plugin) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert tops == {"zoo_fourier", "zoo_fourier-0.1.0.dist-info"}
    with zipfile.ZipFile(core) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {"zoo", "zoo_estimators-0.1.0.dist-info"}
    assert {"zoo/py.typed", "zoo/testing/child.py"} <= set(names)


def test__installed__core_and_plugin_come_from_the_wheels(python, tmp_path):
    code = "import zoo, zoo_fourier; print(zoo.__file__); print(zoo_fourier.__file__)"
    for line in run(python, "-c", code, cwd=tmp_path).splitlines():
        assert Path(line).is_relative_to(python.parents[1])


def test__installed__is_listed_with_its_owner(python, tmp_path):
    code = (
        "import json, zoo; from zoo.registry import registry; entry = registry().find('fourier');"
        "print(json.dumps([entry.plugin, entry.distribution, entry.version, zoo.available()]))"
    )
    shown = json.loads(run(python, "-c", code, cwd=tmp_path, ZOO_PLUGINS="fourier"))
    assert shown == ["fourier", "zoo-fourier", "0.1.0", ["fourier"]]
    text = run(python, "-m", "zoo", "list", cwd=tmp_path, ZOO_PLUGINS="fourier", COLUMNS="200")
    assert "fourier" in text


def test__installed__is_loaded_fitted_saved_and_exported(python, tmp_path):
    code = """
import numpy as np
import zoo

X = np.linspace(-1, 1, 60)[:, None]
model = zoo.load("fourier", alpha=1e-3, bandwidth=0.5, random_state=0).fit(X, np.sin(3 * X[:, 0]))
assert model.score(X, np.sin(3 * X[:, 0])) > 0.999
saved = zoo.load(model.save_pretrained("saved"))
np.testing.assert_array_equal(saved.predict(X), model.predict(X))
runner = zoo.load_onnx(model.export_onnx("exported"), device="cpu")
np.testing.assert_allclose(runner.predict(X), model.predict(X), atol=1e-4)
"""
    run(python, "-W", "error", "-c", code, cwd=tmp_path, ZOO_PLUGINS="fourier")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exported", "saved"]


@pytest.mark.slow
def test__installed__passes_its_own_tests_and_with_them_the_suite(python, tmp_path):
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    options = ["-W", "error", "-p", "no:cacheprovider", "-q", "-rA"]
    output = run(
        *(python, "-m", "pytest", *options, "tests"),
        cwd=tmp_path,
        ZOO_PLUGINS="fourier",
        SCIPY_ARRAY_API="1",
    )
    summary = output.rstrip().rpartition("\n")[2]
    assert "passed" in summary
    assert "skipped" not in summary
    code = "import zoo.testing; print('\\n'.join(zoo.testing.check_names('fourier')))"
    names = run(python, "-c", code, cwd=tmp_path, ZOO_PLUGINS="fourier").split()
    assert len(names) > 10
    for name in names:
        assert f"PASSED tests/test_fourier.py::test__fourier__conformance[{name}]" in output
