"""Hair styles as rows of numbers, so that a batch of different heads is drawn in one pass."""

from dataclasses import dataclass

import torch

__all__ = ["STYLES", "STYLE_FIELDS", "STYLE_TABLE", "STYLE_WEIGHTS", "Style"]

STYLE_FIELDS: tuple[str, ...] = (
    "present",  # 0 for a bald head
    "top",  # thickness of the hair above the skull
    "side",  # thickness beside the skull
    "length",  # where the hair ends (v)
    "flare",  # growth of the width below the ears
    "line",  # v of the hairline in the middle
    "curve",  # how far the hairline comes down at the temples, quadratic part
    "steep",  # the same, fourth-order part
    "slant",  # hairline falls from one side to the other
    "part",  # where the hair parts (u)
    "jag",  # teeth of the fringe
    "curl",  # size of the curls on the outline
    "spike",  # spikes on top
    "wave",  # waves along the strands
    "bun",  # one bun on top
    "buns",  # two buns
    "tails",  # two tails beside the neck
    "narrow",  # 1 for a mohawk
    "gloss",  # strength of the shine
)


@dataclass(frozen=True)
class Style:
    """One hair style.

    Attributes
    ----------
    shape : dict of str to float
        Numbers by the names in :data:`STYLE_FIELDS`; what is left out is 0.
    masculine, feminine : float
        How often it is worn, relative to the others.
    """

    shape: dict[str, float]
    masculine: float
    feminine: float


STYLES: dict[str, Style] = {
    "bald": Style({"length": -0.9, "line": -0.95}, 0.7, 0.1),
    "buzz": Style(
        {
            "present": 1,
            "top": 0.05,
            "side": 0.02,
            "length": -0.12,
            "line": -0.52,
            "curve": 0.1,
            "steep": 0.34,
            "gloss": 0.1,
        },
        0.8,
        0.15,
    ),
    "side": Style(
        {
            "present": 1,
            "top": 0.17,
            "side": 0.06,
            "length": -0.02,
            "line": -0.48,
            "curve": 0.05,
            "steep": 0.36,
            "slant": 0.16,
            "part": 0.25,
            "jag": 0.02,
            "wave": 0.3,
            "gloss": 0.6,
        },
        1.3,
        0.3,
    ),
    "quiff": Style(
        {
            "present": 1,
            "top": 0.33,
            "side": 0.03,
            "length": -0.08,
            "line": -0.54,
            "curve": 0.12,
            "steep": 0.3,
            "slant": 0.08,
            "part": 0.15,
            "curl": 0.03,
            "wave": 0.5,
            "gloss": 0.7,
        },
        1.0,
        0.2,
    ),
    "spiky": Style(
        {
            "present": 1,
            "top": 0.2,
            "side": 0.06,
            "length": -0.05,
            "line": -0.46,
            "curve": 0.1,
            "steep": 0.3,
            "jag": 0.06,
            "spike": 0.11,
            "gloss": 0.3,
        },
        0.8,
        0.2,
    ),
    "bowl": Style(
        {
            "present": 1,
            "top": 0.15,
            "side": 0.12,
            "length": 0.14,
            "line": -0.27,
            "curve": 0.02,
            "steep": 0.3,
            "jag": 0.02,
            "wave": 0.1,
            "gloss": 0.8,
        },
        0.6,
        0.6,
    ),
    "curly": Style(
        {
            "present": 1,
            "top": 0.24,
            "side": 0.14,
            "length": 0.1,
            "line": -0.4,
            "curve": 0.12,
            "steep": 0.4,
            "jag": 0.03,
            "curl": 0.055,
            "wave": 0.8,
            "gloss": 0.3,
        },
        1.0,
        0.9,
    ),
    "afro": Style(
        {
            "present": 1,
            "top": 0.4,
            "side": 0.4,
            "length": 0.42,
            "line": -0.48,
            "curve": 0.18,
            "steep": 0.5,
            "curl": 0.035,
            "wave": 0.8,
            "gloss": 0.2,
        },
        0.6,
        0.9,
    ),
    "receding": Style(
        {
            "present": 1,
            "top": 0.06,
            "side": 0.06,
            "length": -0.02,
            "line": -0.74,
            "curve": 0.3,
            "steep": 0.4,
            "wave": 0.2,
            "gloss": 0.2,
        },
        0.7,
        0.0,
    ),
    "mohawk": Style(
        {
            "present": 1,
            "top": 0.38,
            "length": -0.3,
            "line": -0.52,
            "jag": 0.03,
            "curl": 0.02,
            "spike": 0.08,
            "narrow": 1,
            "gloss": 0.4,
        },
        0.4,
        0.15,
    ),
    "shaggy": Style(
        {
            "present": 1,
            "top": 0.2,
            "side": 0.17,
            "length": 0.5,
            "flare": 0.05,
            "line": -0.36,
            "curve": 0.1,
            "steep": 0.8,
            "slant": 0.1,
            "part": 0.15,
            "jag": 0.06,
            "curl": 0.025,
            "spike": 0.03,
            "wave": 0.6,
            "gloss": 0.4,
        },
        0.7,
        0.6,
    ),
    "bob": Style(
        {
            "present": 1,
            "top": 0.15,
            "side": 0.19,
            "length": 0.62,
            "flare": 0.1,
            "line": -0.3,
            "curve": 0.04,
            "steep": 0.95,
            "jag": 0.02,
            "wave": 0.1,
            "gloss": 0.9,
        },
        0.05,
        1.2,
    ),
    "curtain": Style(
        {
            "present": 1,
            "top": 0.14,
            "side": 0.15,
            "length": 0.45,
            "flare": 0.06,
            "line": -0.7,
            "curve": 0.42,
            "steep": 0.85,
            "wave": 0.4,
            "gloss": 0.8,
        },
        0.4,
        0.9,
    ),
    "long": Style(
        {
            "present": 1,
            "top": 0.14,
            "side": 0.17,
            "length": 1.15,
            "flare": 0.12,
            "line": -0.66,
            "curve": 0.36,
            "steep": 0.95,
            "part": 0.06,
            "wave": 0.2,
            "gloss": 0.9,
        },
        0.25,
        1.4,
    ),
    "wavy": Style(
        {
            "present": 1,
            "top": 0.17,
            "side": 0.24,
            "length": 1.1,
            "flare": 0.16,
            "line": -0.58,
            "curve": 0.25,
            "steep": 0.95,
            "slant": 0.14,
            "part": 0.26,
            "curl": 0.03,
            "wave": 1,
            "gloss": 0.7,
        },
        0.1,
        1.4,
    ),
    "bangs": Style(
        {
            "present": 1,
            "top": 0.14,
            "side": 0.17,
            "length": 1.15,
            "flare": 0.1,
            "line": -0.28,
            "curve": 0.02,
            "steep": 0.95,
            "jag": 0.03,
            "wave": 0.1,
            "gloss": 0.9,
        },
        0.05,
        1.1,
    ),
    "bun": Style(
        {
            "present": 1,
            "top": 0.09,
            "side": 0.05,
            "line": -0.56,
            "curve": 0.18,
            "steep": 0.34,
            "wave": 0.2,
            "bun": 1,
            "gloss": 0.7,
        },
        0.25,
        1.0,
    ),
    "two buns": Style(
        {
            "present": 1,
            "top": 0.11,
            "side": 0.08,
            "length": 0.05,
            "line": -0.42,
            "curve": 0.1,
            "steep": 0.36,
            "jag": 0.02,
            "wave": 0.2,
            "buns": 1,
            "gloss": 0.7,
        },
        0.02,
        0.7,
    ),
    "tails": Style(
        {
            "present": 1,
            "top": 0.12,
            "side": 0.09,
            "length": 0.05,
            "line": -0.46,
            "curve": 0.22,
            "steep": 0.36,
            "wave": 0.2,
            "tails": 1,
            "gloss": 0.8,
        },
        0.02,
        0.9,
    ),
}
STYLE_TABLE = torch.tensor(
    [[style.shape.get(name, 0.0) for name in STYLE_FIELDS] for style in STYLES.values()]
)
STYLE_WEIGHTS = torch.tensor([[style.masculine, style.feminine] for style in STYLES.values()])
