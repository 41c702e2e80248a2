"""What a training shows on the way: the loss as a curve, and a sheet of samples."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from zoo_instantfamily.encoders.features import FaceFeatures
from zoo_instantfamily.training.batch import FamilyBatch

__all__ = ["draw_curve", "draw_samples", "save_picture"]

_PAPER, _INK, _FAINT, _LINE = "#fbfaf7", "#3b3f52", "#d9d6cf", "#c8553d"


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture whole or not at all."""
    written = path.with_name(f".{path.name}.part")
    picture.save(written, format="PNG")
    os.replace(written, path)


def draw_curve(
    steps: Sequence[int], losses: Sequence[float], *, size: tuple[int, int]
) -> Image.Image:
    """The loss against the steps, both axes logarithmic, with its running mean.

    Parameters
    ----------
    steps : sequence of int
        At least one, from 1.
    losses : sequence of float
    size : tuple of int
        Width and height of the picture.

    Returns
    -------
    PIL.Image.Image
    """
    picture = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(picture)
    values = np.asarray([loss if loss > 0 else math.nan for loss in losses], np.float64)
    good = np.isfinite(values)
    if not good.any():
        return picture
    x = np.log(np.asarray(steps, np.float64))
    y = np.log(np.where(good, values, 1.0))
    low_x, high_x = x[0], max(x[-1], x[0] + 1e-3)
    low_y, high_y = y[good].min(), max(y[good].max(), y[good].min() + 1e-3)
    left, top, right, bottom = 58, 16, size[0] - 14, size[1] - 28

    def across(value: float) -> float:
        return left + (value - low_x) / (high_x - low_x) * (right - left)

    def down(value: float) -> float:
        return bottom - (value - low_y) / (high_y - low_y) * (bottom - top)

    for share in np.linspace(0, 1, 5):
        level = low_y + share * (high_y - low_y)
        pen.line((left, down(level), right, down(level)), fill=_FAINT)
        pen.text((6, down(level) - 6), f"{math.exp(level):.3g}", fill=_INK)
        step = low_x + share * (high_x - low_x)
        pen.text((across(step) - 12, bottom + 8), f"{math.exp(step):.0f}", fill=_INK)
    dots = [(across(a), down(b)) for a, b in zip(x[good], y[good], strict=True)]
    for a, b in dots:
        pen.point((a, b), fill=_INK)
    mean, smooth = y[good][0], []
    for (a, _), value in zip(dots, y[good], strict=True):
        mean += 0.1 * (value - mean)
        smooth.append((a, down(mean)))
    if len(smooth) > 1:
        pen.line(smooth, fill=_LINE, width=2)
    return picture


def draw_samples(
    pipe: Any,
    batches: Sequence[FamilyBatch],
    features: Sequence[FaceFeatures],
    *,
    scale: int = 2,
    **options: Any,
) -> Image.Image:
    """A sheet with a row for each picture: the faces given, what was to be drawn, what was drawn.

    Parameters
    ----------
    pipe : InstantFamilyPipeline
    batches : sequence of FamilyBatch
        Of one size of picture.
    features : sequence of FaceFeatures
        Of all places of each batch.
    scale : int, default=2
        Pixels of the sheet for a pixel of a picture.
    **options
        For the pipeline.

    Returns
    -------
    PIL.Image.Image
    """
    rows = []
    most = max(batch.boxes.shape[1] for batch in batches)
    for batch, found in zip(batches, features, strict=True):
        height, width = batch.images.shape[2:]
        people = batch.boxes.shape[1]
        for number, here in enumerate(batch.present.cpu()):
            places = here.nonzero()[:, 0].tolist()
            faces = [
                FaceFeatures(found.vector[k : k + 1], found.tokens[k : k + 1])
                for k in (number * people + place for place in places)
            ]
            drawn = pipe(
                batch.captions[number],
                faces,
                batch.boxes[number, places].cpu().numpy(),
                pose=_picture(batch.control[number]),
                circles=False,
                height=height,
                width=width,
                generator=torch.Generator().manual_seed(number),
                **options,
            ).images[0]
            shown = [_picture(batch.references[number, place]) for place in places]
            row = Image.new("RGB", (most * height + 2 * width, height), _PAPER)
            for k, face in enumerate(shown):
                row.paste(face.resize((height, height)), (k * height, 0))
            row.paste(_picture(batch.images[number]), (most * height, 0))
            row.paste(drawn, (most * height + width, 0))
            rows.append(row)
    sheet = Image.new("RGB", (max(r.width for r in rows), sum(r.height for r in rows)), _PAPER)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet.resize((scale * sheet.width, scale * sheet.height), Image.Resampling.NEAREST)


def _picture(image: Tensor) -> Image.Image:
    pixels = (image.detach().clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
    return Image.fromarray(pixels.cpu().contiguous().numpy())
