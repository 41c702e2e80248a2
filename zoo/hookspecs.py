"""The whole plugin contract: three hooks.

A plugin is a distribution with one entry point in the group ``zoo`` that names a light module
(it imports ``zoo`` and nothing heavy). The module implements the hooks it needs, each marked with
``zoo.hookimpl``. Every target is a string, ``"package.module:attribute"``, imported on first use.
"""

from collections.abc import Callable

import pluggy

from zoo.spec import CommandSpec, DemoSpec, ModelSpec

__all__ = ["API_VERSION", "hookimpl", "hookspec"]

API_VERSION = 1
hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


@hookspec
def zoo_register_models(register: Callable[[ModelSpec], None]) -> None:
    """Call ``register(ModelSpec(...))`` once for each model."""


@hookspec
def zoo_register_commands(register: Callable[[CommandSpec], None]) -> None:
    """Call ``register(CommandSpec(...))`` once for each group of ``zoo`` subcommands."""


@hookspec
def zoo_register_demos(register: Callable[[DemoSpec], None]) -> None:
    """Call ``register(DemoSpec(...))`` once for each demonstration that ``zoo demo`` runs."""
