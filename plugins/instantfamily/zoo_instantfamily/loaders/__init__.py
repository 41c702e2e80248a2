"""Readers of public weights: InstantID, IP-Adapter-FaceID, insightface packs, arcface_torch."""

from zoo_instantfamily.loaders.arcface import load_arcface
from zoo_instantfamily.loaders.faceid import load_faceid
from zoo_instantfamily.loaders.insightface import load_insightface
from zoo_instantfamily.loaders.instantid import load_instantid

__all__ = ["load_arcface", "load_faceid", "load_insightface", "load_instantid"]
