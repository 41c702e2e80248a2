"""Training pictures from a folder or from shards."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zoo_instantfamily.drawing.crops import crop_faces
from zoo_instantfamily.slots import MOST_PEOPLE
from zoo_instantfamily.training.batch import FamilyBatch, seeded
from zoo_instantfamily.training.drawn import mark_faces
from zoo_instantfamily.training.records import Record, read_records

__all__ = ["FolderSource"]

_VISIBLE = 0.5


class FolderSource:
    """Batches of the pictures of a folder, each picture once before any comes again.

    A picture is scaled until it covers the canvas and cut at random around one of its faces. Of
    the faces that are left up to ``people`` are chosen, in random order; the others keep their
    place in the control image but get no disc (the paper, section 3.3). The reference of a face
    is cut from another picture of the same identity where there is one, else from the picture
    itself.

    Parameters
    ----------
    path : path-like
        As `read_records` takes it.
    size : tuple of int, default=(512, 512)
        Height and width of the canvas in pixels.
    batch_size : int, default=1
    people : int, default=4
        Most faces that are given for a picture.
    reference_size : int, default=112
        Side of the references in pixels.
    circles : bool, default=True
        Draw a disc on each chosen face of the control image.
    seed : int, default=0

    Raises
    ------
    ValueError
        A number is not what it may be.
    zoo.errors.SourceError, zoo.errors.FormatError
        As of `read_records`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        size: tuple[int, int] = (512, 512),
        batch_size: int = 1,
        people: int = 4,
        reference_size: int = 112,
        circles: bool = True,
        seed: int = 0,
    ) -> None:
        for what, value, most in (
            ("batch_size", batch_size, 2**20),
            ("people", people, MOST_PEOPLE),
            ("reference_size", reference_size, 2**12),
        ):
            if not 1 <= value <= most:
                raise ValueError(f"{what} of a FolderSource must be 1 to {most}. Got {value}.")
        self.path, self.size, self.batch_size = path, size, batch_size
        self.people, self.reference_size = people, reference_size
        self.circles, self.seed = circles, seed
        self.records = read_records(path)
        self._pictures: dict[str, list[tuple[int, int]]] = {}
        for number, record in enumerate(self.records):
            for face, name in enumerate(record.identities):
                if name is not None:
                    self._pictures.setdefault(name, []).append((number, face))

    def describe(self) -> Mapping[str, Any]:
        """The parameters and how many pictures there are; not where they lie."""
        return {
            "pictures": len(self.records),
            "size": list(self.size),
            "batch_size": self.batch_size,
            "people": self.people,
            "reference_size": self.reference_size,
            "circles": self.circles,
            "seed": self.seed,
        }

    def batch(self, number: int) -> FamilyBatch:
        """Read the batch of a number.

        Parameters
        ----------
        number : int
            Of the batch.

        Returns
        -------
        FamilyBatch

        Raises
        ------
        zoo.errors.FormatError
            A picture cannot be read.
        """
        generator = seeded(self.seed, 2, number)
        found = [
            self._sample(self._record(number * self.batch_size + k), generator)
            for k in range(self.batch_size)
        ]
        images, controls, captions, boxes, references = zip(*found, strict=True)
        most = max(len(rows) for rows in boxes)
        present = torch.tensor([[k < len(rows) for k in range(most)] for rows in boxes])
        return FamilyBatch(
            images=torch.stack(images),
            control=torch.stack(controls),
            captions=list(captions),
            boxes=torch.stack([_pad(rows, most) for rows in boxes]),
            present=present,
            references=torch.stack([_pad(rows, most) for rows in references]),
        )

    def _record(self, position: int) -> int:
        epoch, place = divmod(position, len(self.records))
        order = torch.randperm(len(self.records), generator=seeded(self.seed, 3, epoch))
        return int(order[place])

    def _sample(
        self, number: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, str, Tensor, Tensor]:
        record = self.records[number]
        picture = record.image()
        boxes = torch.tensor(record.boxes)
        height, width = self.size
        scale = max(height / picture.height, width / picture.width)
        resized = (
            max(width, round(picture.width * scale)),
            max(height, round(picture.height * scale)),
        )
        boxes = boxes * scale
        aim = boxes[int(torch.randint(len(boxes), (1,), generator=generator))]
        left, top = (
            _cut(low, high, length, spare, generator)
            for low, high, length, spare in (
                (float(aim[0]), float(aim[2]), width, resized[0] - width),
                (float(aim[1]), float(aim[3]), height, resized[1] - height),
            )
        )
        frame = (left, top, left + width, top + height)
        boxes = boxes - torch.tensor([left, top, left, top])
        limits = torch.tensor([width, height, width, height])
        inside = torch.minimum(boxes.clamp(min=0), limits)
        seen = _area(inside) / _area(boxes) >= _VISIBLE
        order = torch.randperm(len(boxes), generator=generator)
        chosen = order[seen[order]][: self.people]
        if not len(chosen):
            chosen = (_area(inside) / _area(boxes)).argmax()[None]
        pose = record.pose()
        control = (
            torch.zeros(3, height, width)
            if pose is None
            else _pixels(pose.resize(resized, Image.Resampling.LANCZOS).crop(frame))
        )
        if self.circles:
            control = mark_faces(control[None], boxes[None, chosen])[0]
        faces = [self._reference(number, int(face), generator) for face in chosen]
        image = _pixels(picture.resize(resized, Image.Resampling.LANCZOS).crop(frame))
        return image, control, record.caption, boxes[chosen], torch.stack(faces)

    def _reference(self, number: int, face: int, generator: torch.Generator) -> Tensor:
        name = self.records[number].identities[face]
        others = [place for place in self._pictures.get(name or "", []) if place[0] != number]
        if others:
            number, face = others[int(torch.randint(len(others), (1,), generator=generator))]
        record: Record = self.records[number]
        box = torch.tensor(record.boxes[face])
        image = _pixels(record.image())[None]
        return crop_faces(image, box[None, None], self.reference_size)[0, 0].clamp(0, 1)


def _cut(low: float, high: float, length: int, spare: int, generator: torch.Generator) -> int:
    """Where the canvas begins, so that it holds the face if it can."""
    first, last = max(0.0, high - length), min(float(spare), low)
    share = float(torch.rand(1, generator=generator))
    at = (low + high - length) / 2 if first > last else first + share * (last - first)
    return int(min(max(round(at), 0), spare))


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)


def _pad(rows: Tensor, most: int) -> Tensor:
    missing = rows.new_zeros(most - len(rows), *rows.shape[1:])
    return torch.cat([rows, missing])


def _pixels(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1) / 255
