"""What the zoo learns when it lists the plugin: strings, nothing imported but ``zoo``."""

from collections.abc import Callable

import zoo

__all__: list[str] = []


@zoo.hookimpl
def zoo_register_commands(register: Callable[[zoo.CommandSpec], None]) -> None:
    """Register ``zoo instantfamily ...``."""
    register(
        zoo.CommandSpec(
            name="instantfamily",
            target="zoo_instantfamily.commands:app",
            summary="Family portraits of drawn people.",
        )
    )
