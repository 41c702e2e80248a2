"""Broken and good plugins side by side, each a real distribution that pip built and installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

GOOD = """
import zoo

@zoo.hookimpl
def zoo_register_models(register):
    register(zoo.ModelSpec("{model}", {{"regression": "{module}:Model"}}, api={api}))
"""

# Distribution, entry point, source of its module.
PLUGINS = {
    "zoo-good": ("good", GOOD.format(model="good", module="zoo_good_model", api=1)),
    "zoo-raises": ("raises", "raise RuntimeError('no license for this machine')"),
    "zoo-missing": ("missing", "import package_of_nobody"),
    "zoo-hook-raises": (
        "hook-raises",
        GOOD.format(model="half", module="zoo_half", api=1) + "    raise ValueError('bad hook')\n",
    ),
    "zoo-misspelt": (
        "misspelt",
        "import zoo\n\n@zoo.hookimpl\ndef zoo_register_modles(register):\n    pass\n",
    ),
    "zoo-first": ("first", GOOD.format(model="contested", module="zoo_first_model", api=1)),
    "zoo-second": ("second", GOOD.format(model="contested", module="zoo_second_model", api=1)),
    "zoo-future": ("future", GOOD.format(model="future", module="zoo_future_model", api=99)),
}

# What a listing shows, and what a look-up of some names ends in, as JSON.
SHOW = """
import json, sys, zoo
from zoo.registry import registry

found = registry()
looked_up = {}
for name in sys.argv[1:]:
    try:
        looked_up[name] = found.find(name).distribution
    except zoo.errors.ZooError as error:
        looked_up[name] = f"{type(error).__name__}: {error}"
print(json.dumps({
    "available": zoo.available(),
    "failures": {f.plugin: [f.distribution, f.version, f.cause, f.mend] for f in found.failures},
    "find": looked_up,
}))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build all of `PLUGINS` and let pip install them into a folder of their own."""
    sources = tmp_path_factory.mktemp("sources")
    target = tmp_path_factory.mktemp("site-packages")
    for distribution, (plugin, source) in PLUGINS.items():
        module = distribution.replace("-", "_") + "_plugin"
        project = sources / distribution
        project.mkdir()
        (project / f"{module}.py").write_text(source, encoding="utf-8")
        (project / "pyproject.toml").write_text(
            f'[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
            f'[project]\nname = "{distribution}"\nversion = "1.2.3"\n'
            f'[project.entry-points.zoo]\n{plugin} = "{module}"\n'
            f'[tool.setuptools]\npy-modules = ["{module}"]\n',
            encoding="utf-8",
        )
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--no-warn-conflicts"]
    projects = [str(path) for path in sorted(sources.iterdir())]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(target), *projects],
        check=True,
        capture_output=True,
    )
    return target


def run(site, *arguments, check=True, **variables):
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *arguments],
        check=check,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path} | variables,
        cwd=ROOT,
    )


@pytest.fixture(scope="module")
def shown(site):
    names = ["good", "raises", "missing", "half", "misspelt", "contested", "future"]
    names += ["zoo-first:contested", "zoo-second:contested", "kan"]
    return json.loads(run(site, "-c", SHOW, *names).stdout)


def test__broken_plugins__all_others_are_still_listed(shown):
    ours = {"kan", "multitoken", "instantfamily"}
    expected = {"good", *ours, "zoo-first:contested", "zoo-second:contested"}
    assert set(shown["available"]) == expected
    assert shown["find"]["good"] == "zoo-good"
    assert shown["find"]["kan"] == "zoo-kan"


def test__broken_plugins__each_is_named_and_no_good_one(shown):
    assert set(shown["failures"]) == {
        *("raises", "missing", "hook-raises", "misspelt", "first", "second", "future")
    }
    for distribution, (plugin, _) in PLUGINS.items():
        if plugin != "good":
            assert shown["failures"][plugin][:2] == [distribution, "1.2.3"]
            assert "pip " in shown["failures"][plugin][3]


@pytest.mark.parametrize(
    ("plugin", "cause"),
    [
        ("raises", "RuntimeError: no license for this machine"),
        ("missing", "ModuleNotFoundError: No module named 'package_of_nobody'"),
        ("hook-raises", "ValueError: bad hook"),
        ("misspelt", "'zoo_register_modles'. Did you mean 'zoo_register_models'"),
        ("first", "claimed by distribution 'zoo-first' 1.2.3"),
        ("first", "and distribution 'zoo-second' 1.2.3"),
        ("second", "load 'zoo-first:contested' or 'zoo-second:contested'"),
        ("future", "needs version 99 of the plugin API"),
    ],
)
def test__broken_plugins__each_is_named_with_its_cause(shown, plugin, cause):
    assert cause in shown["failures"][plugin][2]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("raises", "BrokenPluginError: The plugin 'raises' of distribution 'zoo-raises' 1.2.3"),
        ("half", "BrokenPluginError: The plugin 'hook-raises'"),
        ("misspelt", "BrokenPluginError: The plugin 'misspelt'"),
        ("contested", "NameClashError: The model 'contested' is claimed by"),
        ("future", "ApiVersionError: The model 'future'"),
    ],
)
def test__broken_plugins__load_by_name_raises_the_cause(shown, name, error):
    assert shown["find"][name].startswith(error)


def test__clashing_name__qualified_name_reaches_each(shown):
    assert shown["find"]["zoo-first:contested"] == "zoo-first"
    assert shown["find"]["zoo-second:contested"] == "zoo-second"


def test__allow_list__broken_plugins_can_be_left_out(site):
    result = json.loads(run(site, "-c", SHOW, ZOO_PLUGINS="good,first").stdout)
    assert result["available"] == ["contested", "good"]
    assert result["failures"] == {}


def test__strict__a_broken_plugin_stops_discovery(site):
    result = run(site, "-c", SHOW, check=False, ZOO_STRICT="1", ZOO_PLUGINS="good,raises")
    assert result.returncode == 1
    assert "BrokenPluginError: The plugin 'raises' of distribution 'zoo-raises'" in result.stderr


def test__zoo_list__shows_the_models_and_every_failure(site):
    result = run(site, "-m", "zoo", "list", COLUMNS="250", check=False)
    text = result.stdout + result.stderr
    for word in ("good", "kan", *(plugin for plugin, _ in PLUGINS.values())):
        assert word in text
    assert "no license for this machine" in text
    assert "zoo-first:contested" in text
