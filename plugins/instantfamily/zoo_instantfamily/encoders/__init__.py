"""Recognisers of drawn faces: the encoder that a generator is given, and the judge that it is not.

The two share neither architecture nor weights nor training pictures.
"""

from zoo_instantfamily.encoders.augment import degrade, siblings
from zoo_instantfamily.encoders.encoder import DrawnFaceEncoder
from zoo_instantfamily.encoders.features import FaceFeatures
from zoo_instantfamily.encoders.judge import DrawnFaceJudge
from zoo_instantfamily.encoders.shipped import load_encoder, load_judge, save_weights
from zoo_instantfamily.encoders.training import RecogniserTraining, contrastive_loss
from zoo_instantfamily.encoders.verification import Verification, rank_one, verify

__all__ = [
    "DrawnFaceEncoder",
    "DrawnFaceJudge",
    "FaceFeatures",
    "RecogniserTraining",
    "Verification",
    "contrastive_loss",
    "degrade",
    "load_encoder",
    "load_judge",
    "rank_one",
    "save_weights",
    "siblings",
    "verify",
]
