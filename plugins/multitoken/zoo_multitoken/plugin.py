"""What the zoo learns when it lists the plugin: strings, nothing imported but ``zoo``."""

from collections.abc import Callable

import zoo

__all__: list[str] = []

MULTITOKEN = zoo.ModelSpec(
    name="multitoken",
    targets={"generation": "zoo_multitoken.estimator:MultiTokenLM"},
    exporter="zoo_multitoken.export:export",
    runner="zoo_multitoken.runtime:MultiTokenRunner",
    summary="Language model that predicts several tokens at once and decodes them losslessly.",
    paper=zoo.Paper(
        title="Better & Faster Large Language Models via Multi-token Prediction",
        authors="Gloeckle, Youbi Idrissi, Rozière, Lopez-Paz, Synnaeve",
        year=2024,
        arxiv="2404.19737",
    ),
    licence="Apache-2.0",
    tags=("text", "language-model", "speculative-decoding"),
    api=1,
)


@zoo.hookimpl
def zoo_register_models(register: Callable[[zoo.ModelSpec], None]) -> None:
    """Register the multi-token family."""
    register(MULTITOKEN)


@zoo.hookimpl
def zoo_register_commands(register: Callable[[zoo.CommandSpec], None]) -> None:
    """Register ``zoo multitoken ...``."""
    register(
        zoo.CommandSpec(
            name="multitoken",
            target="zoo_multitoken.commands:app",
            summary="Train language models on folders of texts, complete texts with them.",
        )
    )
