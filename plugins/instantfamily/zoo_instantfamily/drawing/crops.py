"""Faces cut out of pictures, in the one frame that encoder and judge know."""

import torch
from torch import Tensor

__all__ = ["CROP_MARGIN", "crop_faces"]

CROP_MARGIN = 1.25
"""Side of the crop over the side of the box: the margin of the paper, section 3.2."""


def crop_faces(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut the square around each box, 25 % larger than it, out of its picture.

    Parameters
    ----------
    images : Tensor of shape (n, 3, height, width)
    boxes : Tensor of shape (n, people, 4)
        Left, top, right, bottom in pixels. What lies off the canvas repeats its edge.
    size : int
        Side of the crops in pixels.

    Returns
    -------
    crops : Tensor of shape (n, people, 3, size, size)
    """
    n, people, _ = boxes.shape
    height, width = images.shape[2:]
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    half = (boxes[..., 2:] - boxes[..., :2]).amax(-1) / 2 * CROP_MARGIN
    # Shrinking by more than two needs several samples per pixel, or fine lines are missed.
    fine = max(1, round(float(half.max()) * 2 / size))
    step = (torch.arange(size * fine, device=images.device) + 0.5) / (size * fine) * 2 - 1
    x = (middle[..., 0, None] + half[..., None] * step) / width * 2 - 1
    y = (middle[..., 1, None] + half[..., None] * step) / height * 2 - 1
    side = size * fine
    grid = torch.stack(
        [
            x[..., None, :].expand(n, people, side, side),
            y[..., :, None].expand(n, people, side, side),
        ],
        -1,
    )
    crops = torch.nn.functional.grid_sample(
        images,
        grid.reshape(n, people * side, side, 2),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    crops = crops.view(n, 3, people, side, side).transpose(1, 2)
    if fine > 1:
        crops = torch.nn.functional.avg_pool2d(crops.flatten(0, 1), fine)
    return crops.reshape(n, people, 3, size, size)
