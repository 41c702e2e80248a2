"""How well a recogniser knows drawn people it has never seen."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_instantfamily.drawing import DrawnFaces, crop_faces

__all__ = ["Verification", "embed_portraits", "embed_scene_faces", "rank_one", "verify"]

Recogniser = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Verification:
    """Figures of one recogniser on unseen people.

    Attributes
    ----------
    candidates : int
        Size of the gallery; chance of ``rank_one`` is one over it.
    rank_one : float
        Share of fresh portraits whose nearest gallery portrait is of the same person.
    rank_one_scenes : dict of int to float
        The same with faces cut from two-person scenes, by the scene's side in pixels: the oracle
        for generated scenes of that size.
    pair_accuracy : float
        Share of pairs, half of them of one person, told right at the best threshold.
    accept_rate : float
        Share of pairs of one person accepted where one stranger in a thousand is.
    same, other : float
        Mean cosine of pairs of one person and of two.
    """

    candidates: int
    rank_one: float
    rank_one_scenes: dict[int, float]
    pair_accuracy: float
    accept_rate: float
    same: float
    other: float


def rank_one(probes: Tensor, gallery: Tensor) -> float:
    """Share of ``probes`` (n, dim) whose nearest row of ``gallery`` (n, dim) is their own."""
    nearest = (probes @ gallery.T).argmax(1)
    return int((nearest == torch.arange(len(probes))).sum()) / len(probes)


def embed_portraits(
    recogniser: Recogniser, identities: Tensor, *, faces: DrawnFaces, size: int
) -> Tensor:
    """Vectors (people, dim) of one fresh portrait of each person."""
    return torch.cat([recogniser(faces.portraits(z, size=size)) for z in identities.split(50)])


def embed_scene_faces(
    recogniser: Recogniser, identities: Tensor, *, faces: DrawnFaces, side: int, size: int
) -> Tensor:
    """Vectors (people, dim) of faces cut from fresh two-person scenes of ``side`` pixels."""
    vectors = []
    for pair in identities.view(-1, 2, identities.shape[1]).split(25):
        scenes = faces.scenes(pair, size=(side, side))
        crops = crop_faces(scenes.images, scenes.boxes, size)
        vectors.append(recogniser(crops.flatten(0, 1)))
    return torch.cat(vectors)


@torch.no_grad()
def verify(
    recogniser: Recogniser,
    *,
    size: int,
    candidates: int = 500,
    seed: int = 2024,
    sides: tuple[int, ...] = (48, 64, 96),
) -> Verification:
    """Measure a recogniser on people and pictures drawn for this purpose alone.

    Parameters
    ----------
    recogniser : callable
        From images (n, 3, size, size) in [0, 1] to unit vectors (n, dim).
    size : int
        Side of the images it takes.
    candidates : int, default=500
        People in the gallery, an even number.
    seed : int, default=2024
    sides : tuple of int, default=(48, 64, 96)
        Sides of the scenes faces are cut from.

    Returns
    -------
    verification : Verification
    """
    faces = DrawnFaces(seed)
    people = faces.identities(candidates)
    gallery = embed_portraits(recogniser, people, faces=faces, size=size)
    probes = embed_portraits(recogniser, people, faces=faces, size=size)
    similar = probes @ gallery.T
    same = similar.diagonal()
    other = similar[~torch.eye(candidates, dtype=torch.bool)]
    steps = torch.linspace(-1, 1, 401)
    right = (same[None] > steps[:, None]).float().mean(1) + (
        other[None] <= steps[:, None]
    ).float().mean(1)
    return Verification(
        candidates=candidates,
        rank_one=rank_one(probes, gallery),
        rank_one_scenes={
            side: rank_one(
                embed_scene_faces(recogniser, people, faces=faces, side=side, size=size), gallery
            )
            for side in sides
        },
        pair_accuracy=round(float(right.max()) / 2, 4),
        accept_rate=int((same > torch.quantile(other, 0.999)).sum()) / candidates,
        same=round(float(same.mean()), 4),
        other=round(float(other.mean()), 4),
    )
