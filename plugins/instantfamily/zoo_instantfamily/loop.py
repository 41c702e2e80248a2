"""The denoising loop in numbered steps, for whatever computes the networks.

The pipelines call the loop of diffusers; this one draws without torch. Every export draws a picture
with both, and is refused where they differ.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_instantfamily.samples import Gains
from zoo_instantfamily.schedulers import Scheduler

__all__ = ["Predict", "attention_inputs", "denoise", "initial_latents"]

Array = NDArray[Any]
Predict = Callable[[Array, float, int], Array]
"""From samples (parts * batch, ...), timestep and number of the step to the network's output."""


def denoise(
    predict: Predict,
    scheduler: Scheduler,
    latents: Array,
    *,
    guidance: float,
    callback: Callable[[int, float, Array], None] | None = None,
) -> Array:
    """Draw latents from noise.

    Parameters
    ----------
    predict : callable
        Computes the networks; with guidance its batch is unconditional, then conditional.
    scheduler : Scheduler
        Fresh.
    latents : ndarray of shape (batch, channels, height, width)
        Noise of the scheduler's initial scale.
    guidance : float
        Scale of classifier-free guidance; up to 1 there is none.
    callback : callable or None, default=None
        Called after every step with its number, its timestep and the latents.

    Returns
    -------
    ndarray of shape (batch, channels, height, width)
    """
    guided = guidance > 1
    for step, moment in enumerate(scheduler.timesteps):
        # 1. What the networks see: once for each half of guidance.
        sample = scheduler.scale(latents, step)
        sample = np.concatenate([sample, sample]) if guided else sample
        # 2. ControlNet, then UNet.
        output = predict(sample, float(moment), step)
        # 3. Guidance.
        if guided:
            without, with_text = np.split(output, 2)
            output = without + np.float32(guidance) * (with_text - without)
        # 4. The scheduler's step.
        latents = scheduler.step(output, latents, step)
        if callback is not None:
            callback(step, float(moment), latents)
    return latents


def initial_latents(
    draw: Callable[[int, tuple[int, ...]], Array],
    seed: int | Sequence[int],
    shape: tuple[int, int, int, int],
) -> Array:
    """Noise for a batch, as diffusers draws it from one generator or from one for each image.

    Parameters
    ----------
    draw : callable
        From a seed and a shape to noise.
    seed : int or sequence of int
        One for all, or one for each.
    shape : tuple of int
        Batch, channels, height, width.

    Returns
    -------
    ndarray of float32

    Raises
    ------
    ValueError
        There are neither one seed nor as many as images.
    """
    if isinstance(seed, int | np.integer):
        return draw(int(seed), shape)
    seeds = list(seed)
    if len(seeds) != shape[0]:
        raise ValueError(
            f"The seed must be one number or one for each image, {shape[0]}. Got {len(seeds)}."
        )
    return np.concatenate([draw(int(one), (1, *shape[1:])) for one in seeds])


def attention_inputs(
    masks: Sequence[NDArray[np.bool_]],
    gains: Gains | None,
    *,
    kind: str,
    variant: str,
    text: int,
    length: int,
    parts: int,
) -> list[Array]:
    """What is added to the logits of each level, or, decoupled, the weight of each identity.

    Parameters
    ----------
    masks : sequence of ndarray of bool, shape (batch, people, height, width)
        One for each level, finest first.
    gains : tuple of tuple of float, or None
        Strengths at the step.
    kind : {"stack", "decoupled", "faces"}
        How the network sees the identities.
    variant : {"masked", "none"}
        Whether the masks count.
    text, length : int
        Number of tokens of the text and of an identity.
    parts : {1, 2}
        Halves of guidance.

    Returns
    -------
    list of ndarray
        Of shape (parts * batch or 1, 1, pixels, text + people * length), or (parts * batch or 1,
        people, 1, pixels, 1) for ``decoupled``.
    """
    found = []
    for mask in masks:
        weights = mask.reshape(*mask.shape[:2], -1).swapaxes(1, 2).astype(np.float32)
        if variant == "none":
            weights = np.ones_like(weights)
        if gains is not None:
            strength = np.array(gains, dtype=np.float32)
            weights = weights * (strength > 0 if kind == "faces" else strength)[:, None, :]
        if kind == "decoupled":
            value = np.ascontiguousarray(weights.swapaxes(1, 2)[:, :, None, :, None])
        else:
            before = text if kind == "stack" else length
            rest = np.ones_like(weights[..., :1])
            if kind == "faces":
                rest = (rest - weights.max(2, keepdims=True)).clip(min=0)
            with np.errstate(divide="ignore"):
                columns = [rest.repeat(before, 2), weights.repeat(length, 2)]
                value = np.log(np.concatenate(columns, 2))[:, None]
        value = value.astype(np.float32)
        found.append(value if len(value) == 1 or parts == 1 else np.concatenate([value] * parts))
    return found
