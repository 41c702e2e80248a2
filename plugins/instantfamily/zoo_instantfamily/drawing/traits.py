"""Identity: the hidden numbers that make one drawn person, and what they mean."""

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_instantfamily.drawing import palette
from zoo_instantfamily.drawing.styles import STYLE_FIELDS, STYLE_TABLE, STYLE_WEIGHTS

__all__ = ["TRAITS", "Traits", "read_traits"]

TRAITS: tuple[str, ...] = (
    "presentation", "age", "skin", "skin_warmth", "blush",
    "hair_style", "hair_colour", "hair_shade", "hair_family", "hair_length", "hair_volume",
    "hairline", "parting", "wave",
    "face_width", "jaw", "chin", "ear_size",
    "eye_size", "eye_open", "eye_spacing", "eye_height", "eye_tilt", "eye_colour", "lashes",
    "brow_thickness", "brow_slope", "brow_arch", "brow_height",
    "nose_length", "nose_width", "nose_tip",
    "mouth_width", "mouth_height", "lip_fullness", "lip_colour",
    "beard", "beard_length", "moustache",
    "glasses", "glasses_shape", "glasses_colour",
    "freckles", "mole", "mole_u", "mole_v", "earrings", "trim_colour", "headwear",
)  # fmt: skip


@dataclass(frozen=True)
class Traits:
    """What the hidden numbers of some people say, ready to draw.

    Every attribute is a tensor with people first: ``(people,)``, or ``(people, 3)`` for colours.
    Lengths are in head units. ``hair`` holds the parameters of each person's hair style by the
    names in :data:`zoo_instantfamily.drawing.styles.STYLE_FIELDS`.
    """

    skin: Tensor
    lip: Tensor
    hair_colour: Tensor
    iris: Tensor
    frame: Tensor
    trim: Tensor
    values: dict[str, Tensor]
    hair: dict[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        return self.values[name]


def _span(z: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * z


def _choose_style(z: dict[str, Tensor]) -> Tensor:
    """Index of each person's hair style: the ``hair_style`` quantile of the style shares."""
    first, second = STYLE_WEIGHTS.to(z["age"].device).unbind(1)
    share = torch.lerp(first[None], second[None], z["presentation"][:, None].round())
    edges = torch.cumsum(share / share.sum(1, keepdim=True), 1)
    return (z["hair_style"][:, None] > edges).sum(1).clamp(max=len(STYLE_WEIGHTS) - 1)


def _hair_colour(z: dict[str, Tensor]) -> Tensor:
    natural = palette.ramp(palette.HAIR, z["hair_colour"])
    # Dark skins mostly carry dark hair, as they do outside.
    dark = palette.ramp(palette.HAIR[:6], z["hair_colour"])
    natural = torch.where(((z["skin"] < 0.35) & (z["hair_shade"] < 0.8))[:, None], dark, natural)
    grey = palette.ramp(palette.GREY_HAIR, z["hair_colour"])
    fantasy = palette.ramp(palette.FANTASY_HAIR, z["hair_colour"])
    chosen = torch.where((z["age"] > 0.84)[:, None], grey, natural)
    chosen = torch.where((z["hair_family"] > 0.72)[:, None], fantasy, chosen)
    return (chosen * _span(z["hair_shade"], 0.88, 1.1)[:, None]).clamp(0, 1)


def read_traits(identities: Tensor) -> Traits:
    """Read hidden numbers as the measures and colours of people.

    Parameters
    ----------
    identities : Tensor of shape (people, traits)
        Numbers in [0, 1], columns as in :data:`TRAITS`.

    Returns
    -------
    traits : Traits
    """
    z = dict(zip(TRAITS, identities.unbind(1), strict=True))
    woman = z["presentation"].round()
    skin = palette.ramp(palette.SKIN, z["skin"])
    warmth = _span(z["skin_warmth"], -0.03, 0.03)
    skin = skin + torch.stack([warmth, torch.zeros_like(warmth), -1.2 * warmth], 1)
    bare = palette.ramp(palette.LIP[:3], z["lip_colour"]) * 0.6 + skin * 0.4
    lip = torch.where(
        ((woman > 0) & (z["lashes"] > 0.35))[:, None],
        palette.ramp(palette.LIP, z["lip_colour"]),
        bare,
    )
    lip = lip * (0.62 + 0.38 * skin.mean(1, keepdim=True) / 0.75)
    row = STYLE_TABLE.to(identities.device)[_choose_style(z)]
    hair = dict(zip(STYLE_FIELDS, row.unbind(1), strict=True))
    side = torch.where(z["parting"] > 0.5, 1.0, -1.0)
    hair["length"] = hair["length"] + (hair["length"] > 0.3) * _span(z["hair_length"], -0.2, 0.25)
    volume = _span(z["hair_volume"], 0.75, 1.3)
    hair["top"] = hair["top"] * volume
    hair["side"] = hair["side"] * volume
    hair["line"] = hair["line"] + _span(z["hairline"], -0.06, 0.07)
    hair["part"] = hair["part"] * side * _span(z["parting"], 0.8, 1.2)
    hair["slant"] = hair["slant"] * side
    hair["wave"] = hair["wave"] * _span(z["wave"], 0.6, 1.4)
    child = z["age"] < 0.16
    may_beard = (woman == 0) & ~child
    headwear = torch.where(z["headwear"] > 0.93, 2.0, torch.where(z["headwear"] > 0.86, 1.0, 0.0))
    capped = headwear == 1.0
    for name, most in (("top", 0.1), ("side", 0.1), ("curl", 0.02), ("spike", 0.0)):
        hair[name] = torch.where(capped, hair[name].clamp(max=most), hair[name])
    values = {
        "blush": _span(((z["blush"] - 0.3) / 0.7).clamp(0, 1), 0.0, 0.5) + 0.15 * child,
        "elder": (z["age"] > 0.84).float(),
        "width": _span(z["face_width"], 0.545, 0.68),
        "jaw": _span(z["jaw"], 0.0, 0.75) * (1 - 0.5 * woman),
        "taper": _span(z["chin"], 0.02, 0.24),
        "ear": _span(z["ear_size"], 0.75, 1.3),
        "eye": _span(z["eye_size"], 0.105, 0.148) * (1 + 0.14 * child),
        "eye_open": _span(z["eye_open"], 0.56, 0.94),
        "eye_u": _span(z["eye_spacing"], 0.235, 0.315),
        "eye_v": _span(z["eye_height"], -0.06, 0.06) + 0.05 * child,
        "eye_tilt": _span(z["eye_tilt"], -0.16, 0.3),
        "lashes": (woman * (z["lashes"] > 0.2)).float(),
        "brow": _span(z["brow_thickness"], 0.018, 0.058) * (1 - 0.25 * woman),
        "brow_slope": _span(z["brow_slope"], -0.22, 0.36),
        "brow_arch": _span(z["brow_arch"], 0.0, 0.09),
        "brow_v": _span(z["brow_height"], 0.16, 0.25),
        "nose_v": _span(z["nose_length"], 0.2, 0.36),
        "nose": _span(z["nose_width"], 0.065, 0.135),
        "nose_tip": z["nose_tip"],
        "mouth": _span(z["mouth_width"], 0.15, 0.265),
        "mouth_v": _span(z["mouth_height"], 0.15, 0.22),
        "lips": _span(z["lip_fullness"], 0.026, 0.066),
        "beard": (may_beard & (z["beard"] > 0.55)).float(),
        "stubble": (may_beard & (z["beard"] > 0.4) & (z["beard"] <= 0.55)).float(),
        "goatee": (may_beard & (z["beard"] > 0.85)).float(),
        "beard_length": _span(z["beard_length"], 0.03, 0.3),
        "moustache": (may_beard & (z["moustache"] > 0.6)).float(),
        "moustache_curl": ((z["moustache"] - 0.6) / 0.4).clamp(0, 1),
        "glasses": (z["glasses"] > 0.7).float(),
        "glasses_shape": z["glasses_shape"],
        "freckles": ((z["freckles"] - 0.72) / 0.28).clamp(0, 1),
        "mole": (z["mole"] > 0.78).float(),
        "mole_u": _span(z["mole_u"], -0.42, 0.42),
        "mole_v": _span(z["mole_v"], 0.12, 0.62),
        "earrings": (z["earrings"] > torch.where(woman > 0, 0.55, 0.9)).float(),
        "hoop": ((z["earrings"] * 100) % 1.0).round(),
        "beanie": capped.float(),
        "band": (headwear == 2.0).float(),
    }
    return Traits(
        skin=skin.clamp(0, 1),
        lip=lip.clamp(0, 1),
        hair_colour=_hair_colour(z),
        iris=palette.ramp(palette.IRIS, z["eye_colour"] * torch.where(z["skin"] < 0.4, 0.45, 1.0)),
        frame=palette.pick(palette.FRAME, z["glasses_colour"]),
        trim=palette.pick(palette.TRIM, z["trim_colour"]),
        values=values,
        hair=hair,
    )
