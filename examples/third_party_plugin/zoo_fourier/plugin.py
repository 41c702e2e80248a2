"""What the zoo learns when it lists the plugin: strings, nothing imported but ``zoo``."""

from collections.abc import Callable

import zoo

__all__: list[str] = []


@zoo.hookimpl
def zoo_register_models(register: Callable[[zoo.ModelSpec], None]) -> None:
    """Register the model."""
    register(
        zoo.ModelSpec(
            name="fourier",
            targets={"regression": "zoo_fourier.estimator:FourierRegressor"},
            exporter="zoo_fourier.export:export",
            summary="Kernel ridge regression by random Fourier features.",
            paper=zoo.Paper(
                title="Random Features for Large-Scale Kernel Machines",
                authors="Rahimi, Recht",
                year=2007,
            ),
            licence="Apache-2.0",
            tags=("tabular", "kernel"),
            api=1,
        )
    )
