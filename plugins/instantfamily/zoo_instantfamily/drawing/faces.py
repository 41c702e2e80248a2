"""``DrawnFaces``: an endless family, from a seed."""

import torch
from torch import Tensor

from zoo_instantfamily.drawing import palette
from zoo_instantfamily.drawing.background import draw_backgrounds
from zoo_instantfamily.drawing.crops import CROP_MARGIN
from zoo_instantfamily.drawing.layout import CROWDING
from zoo_instantfamily.drawing.nuisance import Nuisance, sample_nuisance
from zoo_instantfamily.drawing.portrait import draw_people
from zoo_instantfamily.drawing.scene import BOX_HALF, Scenes, draw_scenes
from zoo_instantfamily.drawing.traits import TRAITS
from zoo_instantfamily.slots import MOST_PEOPLE

__all__ = ["DrawnFaces"]


class DrawnFaces:
    """Drawn people: identities, portraits of them, and scenes with up to sixteen.

    A person is a row of hidden numbers (:data:`~zoo_instantfamily.drawing.TRAITS`). Everything
    else, pose, light, expression, clothes, background, is drawn anew for every picture, so two
    portraits of one identity are a pair for training that no copying solves.

    Parameters
    ----------
    seed : int, default=0
        The same seed and the same calls give the same pictures; torch's global generator is
        neither read nor moved.
    device : str, default="cpu"
        Where the pictures are drawn. The random numbers come from the processor always, so that
        the device does not change who is drawn.

    Examples
    --------
    >>> from zoo_instantfamily.drawing import DrawnFaces
    >>> faces = DrawnFaces(seed=1)
    >>> family = faces.identities(3)
    >>> faces.portraits(family, size=48).shape
    torch.Size([3, 3, 48, 48])
    >>> scenes = faces.scenes(family[None], size=(64, 96))
    >>> scenes.boxes.shape
    torch.Size([1, 3, 4])
    """

    def __init__(self, seed: int = 0, *, device: str = "cpu") -> None:
        self.seed = seed
        self.device = device
        self.generator = torch.Generator().manual_seed(seed)

    def identities(self, n: int) -> Tensor:
        """Draw ``n`` new people.

        Returns
        -------
        identities : Tensor of shape (n, traits)
            Hidden numbers in [0, 1], columns as in :data:`~zoo_instantfamily.drawing.TRAITS`.
        """
        return torch.rand(n, len(TRAITS), generator=self.generator).to(self.device)

    def portraits(
        self,
        identities: Tensor,
        *,
        size: int = 64,
        strength: float = 1.0,
        nuisance: Nuisance | None = None,
    ) -> Tensor:
        """Draw one new portrait of each person, framed as :func:`crop_faces` frames them.

        Parameters
        ----------
        identities : Tensor of shape (people, traits)
        size : int, default=64
            Side of the pictures in pixels, at least 8.
        strength : float, default=1.0
            Scale of pose, light and framing; 0 gives passport photographs.
        nuisance : Nuisance, optional
            Pose, light, expression and clothes to use instead of random ones.

        Returns
        -------
        images : Tensor of shape (people, 3, size, size)
            In [0, 1].

        Raises
        ------
        ValueError
            If ``identities`` has another shape or values outside [0, 1], or ``size`` is too small.
        """
        _check_identities(identities, 2)
        if size < 8:
            raise ValueError(f"size of portraits() must be at least 8 pixels, got {size}.")
        people = len(identities)
        g = self.generator
        if nuisance is None:
            nuisance = sample_nuisance(people, generator=g, strength=strength)
        shift = strength * 0.05 * (2.0 * torch.rand(people, 2, generator=g) - 1.0)
        zoom = 1.0 + strength * 0.06 * (2.0 * torch.rand(people, generator=g) - 1.0)
        scale = zoom * size / (2 * BOX_HALF * CROP_MARGIN)
        centre = size / 2 + (shift + torch.tensor([0.0, 0.05])) * scale[:, None]
        colour = torch.randint(len(palette.BACKGROUND_COLOURS), (people,), generator=g)
        style = torch.randint(2, (people,), generator=g)
        behind = draw_backgrounds(
            colour.to(self.device), style.to(self.device), size=(size, size), generator=g
        )
        sheets = draw_people(
            identities.to(self.device),
            nuisance.to(self.device),
            centre.to(self.device),
            scale.to(self.device),
            size=(size, size),
        )
        return (sheets[:, :3] + behind * (1.0 - sheets[:, 3:])).clamp(0, 1)

    def scenes(
        self,
        identities: Tensor,
        *,
        size: tuple[int, int] = (64, 64),
        crowding: str = "apart",
        selected: Tensor | None = None,
        codes: Tensor | None = None,
    ) -> Scenes:
        """Draw one scene for each row of people.

        Parameters
        ----------
        identities : Tensor of shape (n, people, traits)
            1 to 16 people per scene.
        size : tuple of int, default=(64, 64)
            Height and width in pixels.
        crowding : {"apart", "touching", "overlapping"}, default="apart"
            How close people stand; those in front hide those behind.
        selected : Tensor of bool, shape (n, people), optional
            Who gets a circle in the control image; everybody by default.
        codes : Tensor of int, shape (n, 5), optional
            What the captions say, see :class:`Scenes`; at random by default.

        Returns
        -------
        scenes : Scenes

        Raises
        ------
        ValueError
            If a shape does not fit, there are more than 16 people, or ``crowding`` is unknown.
        """
        _check_identities(identities, 3)
        people = identities.shape[1]
        if not 1 <= people <= MOST_PEOPLE:
            raise ValueError(
                f"identities of scenes() must hold 1 to {MOST_PEOPLE} people per scene, "
                f"got {people}."
            )
        if crowding not in CROWDING:
            raise ValueError(
                f"crowding of scenes() must be one of {', '.join(CROWDING)}, got {crowding!r}."
            )
        if min(size) < 8:
            raise ValueError(f"size of scenes() must be at least 8 by 8 pixels, got {size}.")
        if codes is not None and codes.shape != (len(identities), 5):
            raise ValueError(
                f"codes of scenes() must have the shape ({len(identities)}, 5), "
                f"got {tuple(codes.shape)}."
            )
        return draw_scenes(
            identities.to(self.device),
            size=size,
            generator=self.generator,
            crowding=crowding,
            selected=selected,
            codes=codes,
        )


def _check_identities(identities: Tensor, dimensions: int) -> None:
    axes = "(people, traits)" if dimensions == 2 else "(n, people, traits)"
    if identities.ndim != dimensions or identities.shape[-1] != len(TRAITS):
        raise ValueError(
            f"identities must have the shape {axes} with {len(TRAITS)} traits, "
            f"got {tuple(identities.shape)}."
        )
    if identities.numel() and not (
        0.0 <= float(identities.min()) <= float(identities.max()) <= 1.0
    ):
        raise ValueError("identities must hold numbers in [0, 1], and some are outside or missing.")
