"""The loss: what noise hid, weighed towards faces, and whether they are who they should be."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from zoo_instantfamily.drawing.crops import crop_faces

__all__ = ["diffusion_loss", "draw_times", "identity_loss", "predicted_latents"]

_IDENTITY_SCALE = 12.0


def draw_times(count: int, *, total: int, low: bool, generator: torch.Generator) -> Tensor:
    """Noise levels of the pictures of a batch.

    Parameters
    ----------
    count : int
        Number of pictures.
    total : int
        Number of levels.
    low : bool
        Draw towards the low ones: the square of a uniform number in place of the number.
    generator : torch.Generator

    Returns
    -------
    Tensor of int64, shape (count,)
    """
    share = torch.rand(count, generator=generator)
    if low:
        share = share**2
    return (share * total).long().clamp(max=total - 1)


def predicted_latents(prediction: Tensor, noisy: Tensor, alphas: Tensor, *, kind: str) -> Tensor:
    """The latents without noise that a prediction amounts to.

    Parameters
    ----------
    prediction, noisy : Tensor of shape (batch, channels, height, width)
    alphas : Tensor of shape (batch, 1, 1, 1)
        Share of the picture in the noisy latents, cumulative, squared amplitude.
    kind : {"sample", "epsilon", "v_prediction"}
        What is predicted.

    Returns
    -------
    Tensor of shape (batch, channels, height, width)
    """
    if kind == "sample":
        return prediction
    if kind == "epsilon":
        return (noisy - (1 - alphas).sqrt() * prediction) / alphas.sqrt().clamp(min=1e-4)
    return alphas.sqrt() * noisy - (1 - alphas).sqrt() * prediction


def diffusion_loss(
    prediction: Tensor,
    clean: Tensor,
    noise: Tensor,
    alphas: Tensor,
    *,
    kind: str,
    faces: Tensor,
    face_weight: float,
    largest_weight: float,
) -> Tensor:
    """Mean squared error against what is predicted.

    Where that is the picture itself, the error of a picture is weighed by 1 / (1 - alpha), which
    makes it that of a prediction of velocity (arXiv 2202.00512, section 4), up to a limit.

    Parameters
    ----------
    prediction, clean, noise : Tensor of shape (batch, channels, height, width)
    alphas : Tensor of shape (batch, 1, 1, 1)
    kind : {"sample", "epsilon", "v_prediction"}
    faces : Tensor of shape (batch, height, width)
        1 in the boxes of faces.
    face_weight, largest_weight : float
        As in `TrainingSettings`.

    Returns
    -------
    Tensor, scalar

    Raises
    ------
    ValueError
        If ``kind`` is unknown.
    """
    weight = torch.ones_like(alphas)
    if kind == "sample":
        target = clean
        weight = (1 / (1 - alphas).clamp(min=1e-6)).clamp(max=largest_weight)
    elif kind == "epsilon":
        target = noise
    elif kind == "v_prediction":
        target = alphas.sqrt() * noise - (1 - alphas).sqrt() * clean
    else:
        raise ValueError(
            "The prediction_type of a scheduler must be one of sample, epsilon, v_prediction. "
            f"Got {kind!r}."
        )
    places = 1 + (face_weight - 1) * faces[:, None]
    error = (prediction.float() - target).square() * weight * places
    return error.mean() / places.mean()


def identity_loss(
    images: Tensor,
    boxes: Tensor,
    weights: Tensor,
    vectors: Tensor,
    encoder: Any,
) -> Tensor:
    """Whether each face is told from all others of the batch by a recogniser.

    Cross entropy over the faces that the batch was given, in the manner of SimCLR (arXiv
    2002.05709, equation 1). A face cut from the picture is compared with the vectors of the
    references, so that what differs between faces counts rather than what all have in common.

    Parameters
    ----------
    images : Tensor of shape (batch, 3, height, width)
        Predicted, in [0, 1] or a little outside.
    boxes : Tensor of shape (batch, people, 4)
        Left, top, right, bottom in pixels.
    weights : Tensor of shape (batch, people)
        How much a face counts; 0 where nobody is.
    vectors : Tensor of shape (batch, people, dim)
        Unit vectors of the references.
    encoder : DrawnFaceEncoder
        Gradients pass through it; it is not trained.

    Returns
    -------
    Tensor, scalar
    """
    crops = crop_faces(images, boxes, encoder.image_size).flatten(0, 1)
    found = encoder(crops)
    logits = _IDENTITY_SCALE * found @ vectors.flatten(0, 1).T
    away = weights.flatten() == 0
    logits = logits.masked_fill(
        away[None] & ~torch.eye(len(away), dtype=torch.bool, device=away.device), -1e4
    )
    error = functional.cross_entropy(
        logits, torch.arange(len(logits), device=logits.device), reduction="none"
    )
    return (error * weights.flatten()).sum() / len(logits)
