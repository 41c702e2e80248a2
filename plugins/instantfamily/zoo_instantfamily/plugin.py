"""What the zoo learns when it lists the plugin: strings, nothing imported but ``zoo``."""

from collections.abc import Callable

import zoo

__all__: list[str] = []

INSTANTFAMILY = zoo.ModelSpec(
    name="instantfamily",
    targets={"generation": "zoo_instantfamily.assembly:assemble"},
    runner="zoo_instantfamily.runtime:FamilyRunner",
    summary="Several people in one image, each keeping their identity, in one pass.",
    paper=zoo.Paper(
        title="InstantFamily: Masked Attention for Zero-shot Multi-ID Image Generation",
        authors="Kim, Lee, Joung, Kim, Baek",
        year=2024,
        arxiv="2404.19427",
    ),
    licence="Apache-2.0",
    tags=("image", "diffusion", "identity"),
    api=1,
)


@zoo.hookimpl
def zoo_register_models(register: Callable[[zoo.ModelSpec], None]) -> None:
    """Register the InstantFamily pipelines."""
    register(INSTANTFAMILY)


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
