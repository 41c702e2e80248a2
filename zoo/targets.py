"""Strings that stand for objects, and words that stand for other words."""

import importlib
from collections.abc import Iterable

from zoo.errors import BrokenPluginError, ZooError

__all__ = ["did_you_mean", "import_target"]


def import_target(target: str) -> object:
    """Import what a plugin names.

    Parameters
    ----------
    target : str
        ``"package.module:attribute"``.

    Returns
    -------
    object
        The attribute.

    Raises
    ------
    zoo.errors.BrokenPluginError
        The module cannot be imported, or has no such attribute; the cause is chained. An error of
        the zoo that the module raises itself passes through.
    """
    module_name, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (KeyboardInterrupt, ZooError):
        raise
    except BaseException as error:  # a module may also call sys.exit
        raise BrokenPluginError(
            f"Cannot import {target!r}: {type(error).__name__}: {error}."
        ) from error


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Say which known words are close to an unknown one.

    Parameters
    ----------
    word : str
        The unknown word.
    words : iterable of str
        The known ones.

    Returns
    -------
    str
        ``" Did you mean 'a' or 'b'?"``, with the leading space, or nothing.
    """
    import difflib

    close = difflib.get_close_matches(word, list(words), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
