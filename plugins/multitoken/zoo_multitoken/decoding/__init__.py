"""The draft-and-verify loop, on numpy alone: torch and onnxruntime each supply a `Backend`."""

from zoo_multitoken.decoding.backend import Backend, Forward, Heads, Plan
from zoo_multitoken.decoding.burst import Burst
from zoo_multitoken.decoding.decode import Decoding, decode
from zoo_multitoken.decoding.options import DRAFTS, LOSSLESS, STRATEGIES, Options
from zoo_multitoken.decoding.rows import Row
from zoo_multitoken.decoding.statistics import SOURCES, Statistics

__all__ = [
    "DRAFTS",
    "LOSSLESS",
    "SOURCES",
    "STRATEGIES",
    "Backend",
    "Burst",
    "Decoding",
    "Forward",
    "Heads",
    "Options",
    "Plan",
    "Row",
    "Statistics",
    "decode",
]
