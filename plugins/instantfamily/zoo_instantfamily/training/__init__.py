"""Training of an InstantFamily pipeline, on accelerate.

Pictures come from drawn faces, with no data at all, or from a folder or tar shards.
"""

from zoo_instantfamily.training.batch import FamilyBatch, SceneSource
from zoo_instantfamily.training.drawn import DrawnSource
from zoo_instantfamily.training.folder import FolderSource
from zoo_instantfamily.training.settings import TrainingSettings
from zoo_instantfamily.training.trainer import FamilyTrainer

__all__ = [
    "DrawnSource",
    "FamilyBatch",
    "FamilyTrainer",
    "FolderSource",
    "SceneSource",
    "TrainingSettings",
]
