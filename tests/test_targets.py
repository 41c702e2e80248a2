import os.path
import sys
import types

import pytest

from zoo.errors import BrokenPluginError, MissingDependencyError
from zoo.targets import did_you_mean, import_target


def test__import_target__function__is_returned():
    assert import_target("os.path:join") is os.path.join


def test__import_target__no_such_module__says_the_target_and_the_cause():
    with pytest.raises(BrokenPluginError, match="Cannot import 'package_of_nobody:x': ModuleNotF"):
        import_target("package_of_nobody:x")


def test__import_target__no_such_attribute__says_it():
    with pytest.raises(BrokenPluginError, match=r"'os\.path:nothing': AttributeError") as caught:
        import_target("os.path:nothing")
    assert isinstance(caught.value.__cause__, AttributeError)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MissingDependencyError("pip install x"), MissingDependencyError),
        (KeyboardInterrupt("pip install x"), KeyboardInterrupt),
        (SystemExit("pip install x"), BrokenPluginError),
    ],
)
def test__import_target__module_raises__errors_of_the_zoo_pass_through(
    monkeypatch, error, expected
):
    class Module(types.ModuleType):
        def __getattr__(self, name):
            raise error

    monkeypatch.setitem(sys.modules, "odd_module", Module("odd_module"))
    with pytest.raises(expected, match="pip install x"):
        import_target("odd_module:thing")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("regresion", " Did you mean 'regression'?"),
        ("classifcation", " Did you mean 'classification'?"),
        ("xyzzy", ""),
    ],
)
def test__did_you_mean__close_words_only(word, expected):
    assert did_you_mean(word, {"regression": 1, "classification": 2}) == expected


def test__did_you_mean__several__joins_them():
    assert did_you_mean("grit", ["grid", "grip"]) == " Did you mean 'grip' or 'grid'?"
