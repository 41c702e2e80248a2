"""How many threads small matrix products are worth: one.

A step multiplies and factors matrices of some hundred rows, many times over. Waking a second
thread takes longer than that, and where cores are shared it takes up to thirty times longer.
"""

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["few_threads"]

_LARGE = 800  # parameters from which a second thread pays


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def few_threads(size: int) -> AbstractContextManager[Any]:
    """Context in which numpy's linear algebra on ``size`` parameters runs on one thread."""
    if size >= _LARGE:
        return nullcontext()
    return _controller().limit(limits=1, user_api="blas")
