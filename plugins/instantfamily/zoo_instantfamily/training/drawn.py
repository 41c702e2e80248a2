"""Training pictures without any data: scenes of drawn people."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zoo_instantfamily.drawing import DrawnFaces
from zoo_instantfamily.pose import draw_circles
from zoo_instantfamily.training.batch import FamilyBatch, seeded

__all__ = ["DrawnSource", "mark_faces"]

_CROWDS = {"apart": 0.6, "touching": 0.25, "overlapping": 0.15}
_CONTROLS = {"scene": 0.45, "marked": 0.2, "discs": 0.35}


def mark_faces(control: Tensor, boxes: Tensor) -> Tensor:
    """Discs on control images, just as a pipeline draws them.

    Parameters
    ----------
    control : Tensor of shape (batch, 3, height, width)
        In [0, 1].
    boxes : Tensor of shape (batch, people, 4)
        Left, top, right, bottom in pixels. Rows that are not finite get no disc.

    Returns
    -------
    Tensor of shape (batch, 3, height, width)
    """
    height, width = control.shape[2:]
    marked = []
    for image, rows in zip(control, boxes, strict=True):
        pixels = (image * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        places = rows.cpu().numpy()
        places = places[np.isfinite(places).all(1)]
        done = draw_circles(Image.fromarray(pixels), places, height=height, width=width)
        marked.append(torch.from_numpy(np.asarray(done).copy()).permute(2, 0, 1) / 255)
    return torch.stack(marked).to(control.device)


@dataclass(frozen=True, kw_only=True)
class DrawnSource:
    """Endless batches of drawn scenes.

    All pictures of a batch have one size and number of people; both, and how close people stand,
    change from batch to batch. Larger canvases come with proportionally fewer pictures. The
    reference of a face is a drawing of its own: no picture is ever its own reference.

    Parameters
    ----------
    seed : int, default=0
    batch_size : int, default=8
        Pictures of ``side`` by ``side`` in a batch.
    side : int, default=64
        Side of the smallest canvas in pixels, a multiple of 16.
    wide : float, default=0.12
        Share of batches with 3/2 as wide canvases, of which a third are 3/2 as high too.
    strangers : float, default=0.06
        Share of batches in which one person is drawn that no face is given for.
    device : str, default="cpu"
        Where pictures are drawn.
    """

    seed: int = 0
    batch_size: int = 8
    side: int = 64
    wide: float = 0.12
    strangers: float = 0.06
    device: str = "cpu"

    def describe(self) -> Mapping[str, Any]:
        """The parameters, but for the device."""
        found = asdict(self)
        del found["device"]
        return {"drawn faces": found}

    def batch(self, number: int) -> FamilyBatch:
        """Draw the batch of a number.

        Parameters
        ----------
        number : int
            Of the batch.

        Returns
        -------
        FamilyBatch
        """
        generator = seeded(self.seed, number)
        size, people = self._shape(generator)
        crowding = _choose(_CROWDS, generator)
        kind = _choose(_CONTROLS, generator)
        count = max(1, round(self.batch_size * self.side**2 / (size[0] * size[1])))
        faces = DrawnFaces(int(torch.randint(2**62, (1,), generator=generator)), device=self.device)
        family = faces.identities(count * people).view(count, people, -1)
        present = torch.ones(count, people, dtype=torch.bool)
        if people > 1 and _share(generator) < self.strangers:
            present[:, -1] = False
        scenes = faces.scenes(family, size=size, crowding=crowding, selected=present)
        references = faces.portraits(family.flatten(0, 1), size=48)
        control = scenes.control
        if kind != "scene":
            blank = torch.zeros_like(control) if kind == "discs" else control
            hidden = torch.where(present[..., None], scenes.boxes.cpu(), torch.nan)
            control = mark_faces(blank, hidden)
        return FamilyBatch(
            images=scenes.images,
            control=control,
            captions=scenes.captions,
            boxes=scenes.boxes,
            present=present.to(self.device),
            references=references.unflatten(0, (count, people)),
        )

    def _shape(self, generator: torch.Generator) -> tuple[tuple[int, int], int]:
        side, wide = self.side, self.side * 3 // 2
        draw = _share(generator)
        if draw < self.wide / 3:
            return (wide, wide), int(torch.randint(4, 9, (1,), generator=generator))
        if draw < self.wide:
            return (side, wide), int(torch.randint(2, 7, (1,), generator=generator))
        counts = {"1": 0.2, "2": 0.45, "3": 0.15, "4": 0.2}
        return (side, side), int(_choose(counts, generator))


def _share(generator: torch.Generator) -> float:
    return float(torch.rand(1, generator=generator))


def _choose(shares: Mapping[str, float], generator: torch.Generator) -> str:
    weights = torch.tensor(list(shares.values()))
    return list(shares)[int(torch.multinomial(weights, 1, generator=generator))]
