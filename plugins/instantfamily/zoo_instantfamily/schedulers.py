"""Steps of diffusion in numpy, from the configuration files that diffusers writes.

DDIM (arXiv 2010.02502), Euler's method as Karras and others put it (arXiv 2206.00364), and
DPM-Solver++ of the first and second order (arXiv 2211.01095).
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zoo.errors import FormatError

__all__ = ["DDIM", "SCHEDULERS", "DPMSolver", "Euler", "Scheduler", "make_scheduler"]

Array = NDArray[Any]


class Scheduler(Protocol):
    """What the loop needs of a scheduler."""

    timesteps: Array
    initial_scale: float

    def scale(self, sample: Array, step: int) -> Array:
        """What the network is given for a sample at a step."""
        ...

    def step(self, output: Array, sample: Array, step: int) -> Array:
        """The sample of the next step."""
        ...


class _Noise:
    """What the schedulers share: the noise of training, by timestep.

    Parameters
    ----------
    config : mapping
        Of a scheduler of diffusers.
    steps : int
        Of the drawing.
    """

    initial_scale = 1.0

    def __init__(self, config: Mapping[str, Any], steps: int) -> None:
        self.config = dict(config)
        self.total = int(config.get("num_train_timesteps", 1000))
        self.prediction = config.get("prediction_type", "epsilon")
        if not 1 <= steps <= self.total:
            raise ValueError(
                f"The num_inference_steps must be from 1 to {self.total}. Got {steps}."
            )
        _check(config)
        self.steps = steps
        kept = np.cumprod(1 - _betas(config, self.total), dtype=np.float64)
        self.kept = kept.astype(np.float32).astype(np.float64)
        self.timesteps = self._spaced()

    def _spaced(self) -> Array:
        spacing = self.config.get("timestep_spacing", self.default_spacing)
        if spacing == "linspace":
            return np.linspace(0, self.total - 1, self.steps).round()[::-1].astype(np.int64)
        if spacing == "leading":
            places = (np.arange(self.steps) * (self.total // self.steps))[::-1].astype(np.int64)
            return places + self.config.get("steps_offset", 0)
        return np.arange(self.total, 0, -self.total / self.steps).round().astype(np.int64) - 1

    default_spacing = "leading"

    def scale(self, sample: Array, step: int) -> Array:
        """What the network is given for a sample at a step."""
        return sample

    def _clean(self, output: Array, sample: Array, alpha: float, sigma: float) -> Array:
        """The image that the network sees in a sample alpha * image + sigma * noise."""
        if self.prediction == "epsilon":
            return (sample - sigma * output) / alpha
        return output if self.prediction == "sample" else alpha * sample - sigma * output


class DDIM(_Noise):
    """Denoising diffusion implicit models, without added noise."""

    def step(self, output: Array, sample: Array, step: int) -> Array:
        """The sample of the next step.

        Parameters
        ----------
        output, sample : ndarray
            Of the network, and what it was given.
        step : int
            From 0.

        Returns
        -------
        ndarray
        """
        moment = int(self.timesteps[step])
        before = moment - self.total // self.steps
        last = 1.0 if self.config.get("set_alpha_to_one", True) else self.kept[0]
        kept, kept_next = self.kept[moment], self.kept[before] if before >= 0 else last
        alpha, sigma = np.sqrt(kept), np.sqrt(1 - kept)
        wide = sample.astype(np.float64)
        clean = self._clean(output.astype(np.float64), wide, alpha, sigma)
        noise = (wide - alpha * clean) / sigma
        if self.prediction == "epsilon":
            noise = output
        if self.config.get("clip_sample", True):
            limit = self.config.get("clip_sample_range", 1.0)
            clean = clean.clip(-limit, limit)
        found = np.sqrt(kept_next) * clean + np.sqrt(1 - kept_next) * noise
        return np.asarray(found, dtype=np.float32)


class _Sigmas(_Noise):
    """Schedulers that count in noise over signal."""

    default_spacing = "linspace"

    def __init__(self, config: Mapping[str, Any], steps: int) -> None:
        super().__init__(config, steps)
        all_sigmas = np.sqrt((1 - self.kept) / self.kept)
        sigmas = np.interp(self.timesteps, np.arange(self.total), all_sigmas)
        if config.get("use_karras_sigmas"):
            low, high = self._karras_bounds(all_sigmas, sigmas)
            ramp = np.linspace(0, 1, steps)
            sigmas = (high ** (1 / 7) + ramp * (low ** (1 / 7) - high ** (1 / 7))) ** 7
            places = np.interp(np.log(sigmas), np.log(all_sigmas), np.arange(self.total))
            self.timesteps = self._karras_timesteps(places)
        smallest = config.get("final_sigmas_type", "zero") == "sigma_min"
        self.sigmas = np.append(sigmas, all_sigmas[0] if smallest else 0.0)

    def _karras_bounds(self, known: Array, used: Array) -> tuple[float, float]:
        return float(used[-1]), float(used[0])

    def _karras_timesteps(self, places: Array) -> Array:
        return places


class Euler(_Sigmas):
    """Euler's method."""

    def __init__(self, config: Mapping[str, Any], steps: int) -> None:
        super().__init__(config, steps)
        largest = float(self.sigmas.max())
        wide = config.get("timestep_spacing", "linspace") in ("linspace", "trailing")
        self.initial_scale = largest if wide else float(np.hypot(largest, 1))

    def _spaced(self) -> Array:
        if self.config.get("timestep_spacing", "linspace") == "linspace":
            return np.linspace(0, self.total - 1, self.steps, dtype=np.float32)[::-1].copy()
        return super()._spaced().astype(np.float32)

    def scale(self, sample: Array, step: int) -> Array:
        """What the network is given for a sample at a step."""
        return np.asarray(sample / np.hypot(self.sigmas[step], 1), dtype=np.float32)

    def step(self, output: Array, sample: Array, step: int) -> Array:
        """The sample of the next step; see `DDIM.step`."""
        sigma, following = self.sigmas[step], self.sigmas[step + 1]
        wide, out = sample.astype(np.float64), output.astype(np.float64)
        if self.prediction == "epsilon":
            clean = wide - sigma * out
        elif self.prediction == "sample":
            clean = out
        else:
            clean = wide / (sigma**2 + 1) - out * sigma / np.hypot(sigma, 1)
        found = wide + (wide - clean) / sigma * (following - sigma)
        return np.asarray(found, dtype=np.float32)


class DPMSolver(_Sigmas):
    """DPM-Solver++ with the outputs of the last two steps."""

    def __init__(self, config: Mapping[str, Any], steps: int) -> None:
        super().__init__(config, steps)
        self._before: Array | None = None

    def _spaced(self) -> Array:
        spacing = self.config.get("timestep_spacing", "linspace")
        count = self.steps + 1
        if spacing == "linspace":
            return np.linspace(0, self.total - 1, count).round()[::-1][:-1].astype(np.int64)
        if spacing == "leading":
            places = np.arange(count) * (self.total // count)
            return places[::-1][:-1].astype(np.int64) + self.config.get("steps_offset", 0)
        return super()._spaced()

    def _karras_timesteps(self, places: Array) -> Array:
        cosine = self.config.get("beta_schedule") == "squaredcos_cap_v2"
        return (places if cosine else places.round()).astype(np.int64)

    def _karras_bounds(self, known: Array, used: Array) -> tuple[float, float]:
        return float(known[0]), float(known[-1])

    def step(self, output: Array, sample: Array, step: int) -> Array:
        """The sample of the next step; see `DDIM.step`. Steps must be taken in their order."""
        alpha = 1 / np.hypot(self.sigmas, 1)
        sigma = self.sigmas * alpha
        with np.errstate(divide="ignore"):
            level = np.log(alpha) - np.log(sigma)
        now, following = step, step + 1
        wide = sample.astype(np.float64)
        clean = self._clean(output.astype(np.float64), wide, alpha[now], sigma[now])
        gap = level[following] - level[now]
        growth = alpha[following] * -np.expm1(-gap)
        found = sigma[following] / sigma[now] * wide + growth * clean
        if self._before is not None and step > 0 and not self._first_order(step):
            ratio = (level[now] - level[now - 1]) / gap
            change = (clean - self._before) / ratio
            if self.config.get("solver_type", "midpoint") == "midpoint":
                found = found + 0.5 * growth * change
            else:
                found = found + alpha[following] * (np.expm1(-gap) / gap + 1) * change
        self._before = clean
        return np.asarray(found, dtype=np.float32)

    def _first_order(self, step: int) -> bool:
        config = self.config
        if config.get("solver_order", 2) == 1:
            return True
        few = config.get("lower_order_final", True) and self.steps < 15
        zero = config.get("final_sigmas_type", "zero") == "zero"
        return step == self.steps - 1 and bool(config.get("euler_at_final") or few or zero)


SCHEDULERS: dict[str, Callable[[Mapping[str, Any], int], Scheduler]] = {
    "DDIMScheduler": DDIM,
    "EulerDiscreteScheduler": Euler,
    "DPMSolverMultistepScheduler": DPMSolver,
}
"""By the names that diffusers gives them."""

_PLAIN: dict[str, tuple[Any, ...]] = {
    "prediction_type": ("epsilon", "sample", "v_prediction"),
    "timestep_spacing": ("linspace", "leading", "trailing"),
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
    "trained_betas": (None,),
    "thresholding": (False,),
    "rescale_betas_zero_snr": (False,),
    "use_exponential_sigmas": (False, None),
    "use_beta_sigmas": (False, None),
    "use_lu_lambdas": (False, None),
    "use_flow_sigmas": (False, None),
    "use_dynamic_shifting": (False, None),
    "interpolation_type": ("linear",),
    "timestep_type": ("discrete",),
    "final_sigmas_type": ("zero", "sigma_min"),
    "sigma_min": (None,),
    "sigma_max": (None,),
    "algorithm_type": ("dpmsolver++",),
    "solver_order": (1, 2),
    "solver_type": ("midpoint", "heun"),
    "variance_type": (None,),
    "lambda_min_clipped": (-float("inf"), "-Infinity", None),
}


def make_scheduler(config: Mapping[str, Any], steps: int, *, name: str | None = None) -> Scheduler:
    """A scheduler from a configuration that diffusers wrote.

    Parameters
    ----------
    config : mapping
        The content of ``scheduler_config.json``.
    steps : int
        Of the drawing.
    name : str or None, default=None
        One of `SCHEDULERS`, in place of the configuration's own.

    Returns
    -------
    Scheduler
        For one drawing.

    Raises
    ------
    ValueError
        There is no scheduler of that name, or the number of steps is outside its limits.
    zoo.errors.FormatError
        An option of the configuration is not one of those that are computed here.
    """
    wanted = config.get("_class_name") if name is None else name
    if wanted not in SCHEDULERS:
        raise ValueError(f"The scheduler must be one of {', '.join(SCHEDULERS)}. Got {wanted!r}.")
    return SCHEDULERS[str(wanted)](config, steps)


def _check(config: Mapping[str, Any]) -> None:
    for option, allowed in _PLAIN.items():
        if option in config and config[option] not in allowed:
            raise FormatError(
                f"The option {option!r} of an exported scheduler must be "
                f"{' or '.join(map(repr, allowed))}. Got {config[option]!r}."
            )


def _betas(config: Mapping[str, Any], total: int) -> Array:
    low, high = config.get("beta_start", 1e-4), config.get("beta_end", 0.02)
    kind = config.get("beta_schedule", "linear")
    if kind == "linear":
        return np.linspace(low, high, total, dtype=np.float32)
    if kind == "scaled_linear":
        return np.linspace(low**0.5, high**0.5, total, dtype=np.float32) ** 2
    # Section 3.2 of arXiv 2102.09672.
    share = np.arange(total + 1) / total
    bar = np.cos((share + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.minimum(1 - bar[1:] / bar[:-1], 0.999).astype(np.float32)
