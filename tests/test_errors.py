import inspect

import pytest

from zoo import errors

CLASSES = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("cls", CLASSES)
def test__errors__every_class__is_a_zoo_error_with_a_docstring(cls):
    assert issubclass(cls, errors.ZooError)
    assert cls.__doc__


@pytest.mark.parametrize("cls", CLASSES)
def test__errors__every_class__stands_in_the_tree_on_top(cls):
    (line,) = (line for line in errors.__doc__.splitlines() if cls.__name__ in line.split())
    depth = sum(base.__module__ == "zoo.errors" for base in cls.__mro__) - 1
    assert line.index(cls.__name__) == 4 + 4 * depth
    builtin = next(base for base in cls.__mro__ if base.__module__ == "builtins")
    if depth == 1 and builtin is not Exception:
        assert f"(also {builtin.__name__})" in line


def test__errors__all__lists_every_class():
    defined = {name for name, _ in inspect.getmembers(errors, inspect.isclass)}
    assert defined == set(errors.__all__)


def test__errors__failure_of_a_known_kind__is_raised_as_that_kind():
    from zoo.discovery import Failure

    clash = errors.NameClashError("two claim it")
    error = Failure("a", "zoo-a", "1", "two claim it", "uninstall", clash).error()
    assert type(error) is errors.NameClashError
    assert str(error) == "two claim it"
    assert error is not clash


def test__errors__failure_without_exception__is_a_broken_plugin():
    from zoo.discovery import Failure

    error = Failure("a", "zoo-a", "1", "It is odd.", "upgrade").error()
    assert type(error) is errors.BrokenPluginError
    assert str(error) == (
        "The plugin 'a' of distribution 'zoo-a' 1 cannot be used: It is odd. To mend it: upgrade."
    )
