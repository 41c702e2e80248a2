import importlib
import pkgutil

import pytest

import zoo

# Modules that are programs: they run when they are imported, and have no names.
PROGRAMS = {"zoo.__main__"}


def modules():
    names = ["zoo"]
    for info in pkgutil.walk_packages(zoo.__path__, "zoo."):
        if info.name not in PROGRAMS and not info.name.startswith("zoo.testing.child"):
            names.append(info.name)
    return names


@pytest.mark.parametrize("name", modules())
def test__module__all__is_explicit_sorted_and_exists(name):
    module = importlib.import_module(name)
    assert "__all__" in vars(module), f"{name} has no __all__"
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        assert getattr(module, public) is not None


@pytest.mark.parametrize("name", modules())
def test__module__docstring__is_there(name):
    assert importlib.import_module(name).__doc__


@pytest.mark.parametrize("name", modules())
def test__module__public_names_defined_there__have_docstrings(name):
    module = importlib.import_module(name)
    for public in module.__all__:
        value = getattr(module, public)
        if getattr(value, "__module__", None) == name and callable(value):
            assert value.__doc__, f"{name}.{public} has no docstring"


def test__zoo__dir__lists_the_public_names():
    assert set(zoo.__all__) <= set(dir(zoo))


def test__zoo__unknown_attribute__is_named():
    with pytest.raises(AttributeError, match="module 'zoo' has no attribute 'nothing'"):
        zoo.nothing  # noqa: B018  the access is what is tested


def test__zoo__home_of_each_name__is_where_it_is_defined():
    for name in zoo.__all__:
        assert getattr(zoo, name) is getattr(importlib.import_module(zoo._HOME[name]), name)
