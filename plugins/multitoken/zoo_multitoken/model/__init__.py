"""The model: trunk, heads, cache."""

from zoo_multitoken.model.cache import KVCache, Window
from zoo_multitoken.model.drafting import Draft
from zoo_multitoken.model.model import MultiTokenModel

__all__ = ["Draft", "KVCache", "MultiTokenModel", "Window"]
