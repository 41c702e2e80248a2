"""The control image: heads, shoulders and key points, and a coloured circle per selected face."""

import torch
from torch import Tensor

from zoo_instantfamily.drawing import palette
from zoo_instantfamily.drawing.head import SKULL

__all__ = ["control_image"]


def control_image(
    centre: Tensor,
    scale: Tensor,
    roll: Tensor,
    keypoints: Tensor,
    selected: Tensor,
    *,
    size: tuple[int, int],
) -> Tensor:
    """Draw pose and order of the people on black.

    Every person gets the outline of a head, shoulders and five key points; the selected ones
    also a circle in the middle of the face, in the colour of their place in the list (the paper,
    section 3.3).

    Parameters
    ----------
    centre : Tensor of shape (n, people, 2)
    scale, roll : Tensor of shape (n, people)
    keypoints : Tensor of shape (n, people, 5, 2)
        Eyes, nose, corners of the mouth: (x, y) in pixels.
    selected : Tensor of bool, shape (n, people)
    size : tuple of int
        Height and width in pixels.

    Returns
    -------
    control : Tensor of shape (n, 3, height, width)
        In [0, 1].
    """
    height, width = size
    device = centre.device
    y, x = torch.meshgrid(
        torch.arange(height, device=device) + 0.5,
        torch.arange(width, device=device) + 0.5,
        indexing="ij",
    )
    colours = palette.SLOT_COLOURS.to(device)
    image = torch.zeros(len(centre), 3, height, width, device=device)
    white = torch.ones(1, 3, 1, 1, device=device)
    for k in range(centre.shape[1]):
        s = scale[:, k, None, None]
        dx, dy = (x - centre[:, k, 0, None, None]) / s, (y - centre[:, k, 1, None, None]) / s
        cos, sin = roll[:, k].cos()[:, None, None], roll[:, k].sin()[:, None, None]
        u, v = cos * dx + sin * dy, cos * dy - sin * dx

        def inside(distance: Tensor, s: Tensor = s) -> Tensor:
            return (0.5 - distance * s).clamp(0, 1)[:, None]

        thick = 0.03 + 0.4 / s
        ring = ((torch.sqrt((u / 0.62) ** 2 + (v / SKULL) ** 2 + 1e-6) - 1.0) * 0.62).abs() - thick
        shoulder = torch.maximum((dy - 1.15 - 0.3 * dx * dx).abs() - thick, dx.abs() - 1.0)
        image = torch.lerp(image, 0.35 * white, inside(shoulder))
        image = torch.lerp(image, 0.6 * white, inside(ring))
        own = colours[k % len(colours)].view(1, 3, 1, 1)
        circle = torch.sqrt(u * u + (v - 0.12) ** 2 + 1e-6) - 0.3
        image = torch.lerp(image, own, inside(circle) * selected[:, k, None, None, None])
        for point in keypoints[:, k].unbind(1):
            a = (x - point[:, 0, None, None]) / s
            b = (y - point[:, 1, None, None]) / s
            image = torch.lerp(image, white, inside(torch.sqrt(a * a + b * b + 1e-6) - 0.07))
    return image
