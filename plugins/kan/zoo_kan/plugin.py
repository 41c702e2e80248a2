"""What the zoo learns when it lists the plugin: strings, nothing imported but ``zoo``."""

from collections.abc import Callable

import zoo

__all__: list[str] = []

KAN = zoo.ModelSpec(
    name="kan",
    targets={
        "regression": "zoo_kan.regressor:KANRegressor",
        "classification": "zoo_kan.classifier:KANClassifier",
    },
    exporter="zoo_kan.export:export",
    summary="Kolmogorov-Arnold network: learns a function on every edge, reads back as a formula.",
    paper=zoo.Paper(
        title="KAN: Kolmogorov-Arnold Networks",
        authors="Liu, Wang, Vaidya, Ruehle, Halverson, Soljačić, Hou, Tegmark",
        year=2024,
        arxiv="2404.19756",
    ),
    licence="Apache-2.0",
    tags=("tabular", "interpretable", "symbolic-regression"),
    api=1,
)


@zoo.hookimpl
def zoo_register_models(register: Callable[[zoo.ModelSpec], None]) -> None:
    """Register the KAN family."""
    register(KAN)


@zoo.hookimpl
def zoo_register_commands(register: Callable[[zoo.CommandSpec], None]) -> None:
    """Register ``zoo kan ...``."""
    register(
        zoo.CommandSpec(
            name="kan",
            target="zoo_kan.commands:app",
            summary="Formulas and plots of fitted KANs.",
        )
    )


@zoo.hookimpl
def zoo_register_demos(register: Callable[[zoo.DemoSpec], None]) -> None:
    """Register the demonstration."""
    register(
        zoo.DemoSpec(
            name="kan",
            target="zoo_kan.demo:run",
            summary="A law from measurements, a regression, a classification: each as a formula.",
        )
    )
