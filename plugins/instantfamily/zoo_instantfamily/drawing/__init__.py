"""Drawn faces: a procedural generator of people, portraits and group scenes.

Everything is drawn with soft signed distances in plain tensor arithmetic: at any resolution,
antialiased, reproducible by seed, and with nothing to download.
"""

from zoo_instantfamily.drawing.background import BACKGROUND_STYLES
from zoo_instantfamily.drawing.control import control_image
from zoo_instantfamily.drawing.crops import CROP_MARGIN, crop_faces
from zoo_instantfamily.drawing.faces import DrawnFaces
from zoo_instantfamily.drawing.layout import CROWDING, arrange
from zoo_instantfamily.drawing.nuisance import MOODS, Nuisance, sample_nuisance
from zoo_instantfamily.drawing.palette import (
    BACKGROUND_COLOURS,
    CLOTHES_COLOURS,
    SLOT_COLOURS,
)
from zoo_instantfamily.drawing.portrait import draw_people
from zoo_instantfamily.drawing.scene import Scenes, caption, draw_scenes, face_boxes
from zoo_instantfamily.drawing.styles import STYLES
from zoo_instantfamily.drawing.traits import TRAITS, Traits, read_traits

__all__ = [
    "BACKGROUND_COLOURS",
    "BACKGROUND_STYLES",
    "CLOTHES_COLOURS",
    "CROP_MARGIN",
    "CROWDING",
    "MOODS",
    "SLOT_COLOURS",
    "STYLES",
    "TRAITS",
    "DrawnFaces",
    "Nuisance",
    "Scenes",
    "Traits",
    "arrange",
    "caption",
    "control_image",
    "crop_faces",
    "draw_people",
    "draw_scenes",
    "face_boxes",
    "read_traits",
    "sample_nuisance",
]
