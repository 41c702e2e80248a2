"""How a layer of edges is computed in torch: features of the inputs times weights.

Two forms give the same numbers. `plain_features` is made of ordinary differentiable operations,
for ``torch.compile``, derivatives of any order and ``torch.func``. `SplineProduct` is what runs
otherwise: it evaluates only the ``order + 1`` basis functions that are not zero, keeps little for
the backward pass, and has that pass written by hand.
"""

from zoo_kan.kernels.cells import Cells
from zoo_kan.kernels.features import UNROLLED, plain_features, plain_product
from zoo_kan.kernels.pieces import piece_weights
from zoo_kan.kernels.product import BLOCK, SplineProduct
from zoo_kan.kernels.work import Work

__all__ = [
    "BLOCK",
    "UNROLLED",
    "Cells",
    "SplineProduct",
    "Work",
    "piece_weights",
    "plain_features",
    "plain_product",
]
