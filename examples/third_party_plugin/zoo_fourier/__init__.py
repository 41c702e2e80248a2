"""Random Fourier features with ridge regression, as a plugin of the zoo."""

from typing import Any

__version__ = "0.1.0"

__all__ = ["FourierRegressor"]


def __getattr__(name: str) -> Any:
    # Importing the package must stay cheap: listing the zoo's models imports it.
    if name == "FourierRegressor":
        from zoo_fourier.estimator import FourierRegressor

        return FourierRegressor
    raise AttributeError(f"module 'zoo_fourier' has no attribute {name!r}")
