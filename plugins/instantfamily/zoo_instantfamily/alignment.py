"""Faces turned upright: the crop that face recognisers were trained on."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["TEMPLATE", "align_face", "similarity"]

TEMPLATE = torch.tensor(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""Where ArcFace (arXiv 1801.07698) wants eyes, nose and mouth, in a crop of 112 x 112 pixels."""


def similarity(source: Tensor, target: Tensor) -> Tensor:
    """Rotation, scale and shift that bring points closest to others (Umeyama, 1991).

    Parameters
    ----------
    source, target : Tensor of shape (points, 2)
        Corresponding points.

    Returns
    -------
    Tensor of shape (2, 3)
        Maps ``(x, y, 1)`` of the source to the target.
    """
    source, target = source.double(), target.double()
    centred = source - source.mean(0)
    wanted = target - target.mean(0)
    # In the plane a rotation with scale is the matrix ((a, -b), (b, a)).
    power = centred.square().sum()
    a = (centred * wanted).sum() / power
    b = (centred[:, 0] * wanted[:, 1] - centred[:, 1] * wanted[:, 0]).sum() / power
    turn = torch.stack([torch.stack([a, -b]), torch.stack([b, a])])
    return torch.cat([turn, (target.mean(0) - turn @ source.mean(0))[:, None]], 1)


def align_face(image: Tensor, points: Tensor, *, size: int = 112) -> Tensor:
    """Cut a face out of a picture so that its key points lie where `TEMPLATE` has them.

    Parameters
    ----------
    image : Tensor of shape (3, height, width)
        The picture; what lies off it is black.
    points : Tensor of shape (5, 2)
        Eyes, nose and corners of the mouth: (x, y) in pixels, 0 is the middle of the first.
    size : int, default=112
        Side of the crop in pixels.

    Returns
    -------
    Tensor of shape (3, size, size)
    """
    height, width = image.shape[1:]
    forward = similarity(points, TEMPLATE.to(points.device) * (size / 112))
    whole = torch.cat([forward, forward.new_tensor([[0, 0, 1]])])
    back = torch.linalg.inv(whole)[:2]
    y, x = torch.meshgrid(
        *2 * (torch.arange(size, dtype=back.dtype, device=back.device),), indexing="ij"
    )
    place = torch.stack([x, y, torch.ones_like(x)], -1) @ back.T
    scale = place.new_tensor([2 / width, 2 / height])
    grid = ((place + 0.5) * scale - 1)[None].to(image.dtype)
    return F.grid_sample(image[None], grid, align_corners=False)[0]
