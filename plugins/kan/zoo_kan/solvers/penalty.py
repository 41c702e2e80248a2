"""What the full-batch solvers add to the loss: roughness, size, sparsity; and how much of it.

Each edge, taken as a whole (spline and base function together), pays for its roughness and for
the steepness of its linear part. How much is either given or learned from the data: the update of
Fellner and Schall (Wood and Fasiolo 2017), which is MacKay's evidence framework, raises the price
of what the data do not determine, edge by edge. The paper's sparsity penalty (Equations 2.17 to
2.20: L1 of the edges' size plus the entropy of its distribution) enters by iterated reweighting.

Axes: ``e`` edges of a layer, ``i`` input nodes, ``o`` output nodes, ``c`` weights of one edge,
``p`` parameters.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zoo_kan import spline
from zoo_kan.network import EdgeLayer, KANNetwork, base_value
from zoo_kan.solvers.problem import Layout, Problem

__all__ = ["Penalty"]

Array = NDArray[np.floating]

_CONSTANT = 1e-2  # price of an edge's constant part: the bias carries it instead, for nothing
_SHIFT = 1e-6  # price of the output biases of logits
_LEAST = 1e-15  # price of roughness and steepness
_STRIDE = 30.0  # largest factor by which a price changes at a time
_LEAST_BASE = 1e-13  # price of the base weight, which splines on fine grids imitate
# No prior is narrower or wider than this, in standard deviations of the next node (or logits).
_FAINTEST, _BOLDEST = 3e-3, 10.0
_FAINTEST_BEND, _BOLDEST_BEND = 3e-2, 100.0
_BOLDEST_WAVE = 1e6  # bend of values, which unlike logits are bounded by the data


def _as_spline(layer: EdgeLayer) -> Array:
    """Matrix (i, b, c) that turns an edge's weights into coefficients of a spline like it."""
    n_basis = layer.coef.shape[2]
    identity = np.broadcast_to(np.eye(n_basis), (layer.n_in, n_basis, n_basis))
    if layer.base == "none":
        return identity
    mesh = np.linspace(0.0, 1.0, 4 * n_basis)
    fit = np.linalg.pinv(spline.design(mesh[:, None] * layer.grid, layer.grid, layer.order)[:, 0])
    x = layer.lower + mesh[:, None] * (layer.upper - layer.lower)
    imitation = (fit @ base_value(x, layer.base)).T  # (i, b)
    return np.concatenate([identity, imitation[..., None]], axis=2)


@dataclass
class _LayerPenalty:
    """Penalty matrices of one layer on its present grids."""

    rough: Array  # (i, c, c)
    steep: Array  # (i, c, c)
    base: Array  # (i, c, c)
    fixed: Array  # (i, c, c)
    size: Array  # (i, c, c), Gram matrix of the centred features on the data
    rank: int  # of every matrix in ``rough``


@dataclass
class _Kind:
    """One kind of price in one layer, and how far it may go."""

    price: Array  # (o, i)
    form: Array  # (i, c, c)
    rank: int
    least: float
    faintest: float
    boldest: float

    def limit(self, price: Array, dispersion: float) -> Array:
        # A price that forbids a term outright could not come down when the noise does; one that
        # gives it away lets the logits of separable classes grow for ever.
        lowest = max(self.least, dispersion / self.boldest**2)
        return np.clip(price, lowest, max(lowest, dispersion / self.faintest**2))


def _squared(weights: Array, form: Array) -> Array:
    """Quadratic form (e,) of the weights (e, c) of some edges."""
    return np.maximum((weights[:, None, :] @ form @ weights[:, :, None])[:, 0, 0], 1e-30)


@dataclass
class Penalty:
    """Prices of the edges of a network, and the quadratic forms they multiply.

    Attributes
    ----------
    roughness, steepness, base : list of ndarray of shape (o, i)
        Price per layer and edge of the squared second derivative, of the squared slope (both with
        the node's grid range as the unit of length) and of the squared base weight.
    sparsity : float
        Price of the edges' L1 norm and entropy.
    carried : bool
        Whether roughness counts changes of the curvature (`spline.roughness_gram`). First-order
        solvers do without: higher derivatives make their problem stiffer.
    shift : float
        Price of the squared output biases. A shift of all logits alike is free of loss, so
        `prepare` gives it a price where outputs are logits.
    """

    roughness: list[Array]
    steepness: list[Array]
    base: list[Array]
    sparsity: float = 0.0
    carried: bool = True
    shift: float = 0.0
    _layers: list[_LayerPenalty] = field(default_factory=list, repr=False)
    _pull: list[Array] = field(default_factory=list, repr=False)

    @classmethod
    def uniform(
        cls,
        network: KANNetwork,
        *,
        roughness: float,
        steepness: float,
        base: float,
        sparsity: float = 0.0,
        carried: bool = True,
    ) -> "Penalty":
        """One price for all edges of ``network``."""
        shapes = [layer.mask.shape for layer in network.layers]
        return cls(
            [np.full(shape, roughness) for shape in shapes],
            [np.full(shape, steepness) for shape in shapes],
            [np.full(shape, base) for shape in shapes],
            sparsity,
            carried,
        )

    def copy(self) -> "Penalty":
        """Independent copy of the prices; `prepare` has to be called on it again."""
        return Penalty(
            [price.copy() for price in self.roughness],
            [price.copy() for price in self.steepness],
            [price.copy() for price in self.base],
            self.sparsity,
            self.carried,
        )

    def prepare(self, network: KANNetwork, problem: Problem) -> None:
        """Compute the quadratic forms for the network's present grids."""
        self._layers = []
        self.shift = _SHIFT if problem.terms.known_dispersion else 0.0
        for layer, x in zip(network.layers, network.activations(problem.X)[:-1], strict=True):
            whole = _as_spline(layer)
            n_basis, n_weights = whole.shape[1:]
            gram = (spline.roughness_gram if self.carried else spline.second_difference_gram)(
                layer.grid, layer.order
            )
            place = spline.centres(layer.grid, layer.order) / layer.grid
            place = place - place.mean()
            line = (place / (place @ place)) @ whole  # (i, c)
            fixed, base, size = np.zeros((3, layer.n_in, n_weights, n_weights))
            fixed[:, :n_basis, :n_basis] = _CONSTANT / n_basis**2
            if layer.base != "none":
                base[:, -1, -1] = 1.0
            if self.sparsity:
                features = layer.features(x)[..., :n_weights].transpose(1, 0, 2)
                features = features - problem.share @ features[:, None]
                size = (features * problem.share[:, None]).transpose(0, 2, 1) @ features
            self._layers.append(
                _LayerPenalty(
                    rough=whole.transpose(0, 2, 1) @ gram @ whole,
                    steep=line[:, :, None] * line[:, None, :],
                    base=base,
                    fixed=fixed,
                    size=size,
                    rank=max(1, n_basis - 2),
                )
            )
        self.reweight(network)

    def reweight(self, network: KANNetwork) -> None:
        """Renew the quadratic stand-ins of the sparsity penalty at the network's weights."""
        self._pull = [np.zeros(layer.mask.shape) for layer in network.layers]
        if not self.sparsity:
            return
        for layer, forms, pull in zip(network.layers, self._layers, self._pull, strict=True):
            weights = layer.weights[..., : forms.size.shape[1]]
            squared = np.einsum("oic,icd,oid->oi", weights, forms.size, weights)
            norm = np.sqrt(np.maximum(squared, 0.0) + 1e-8)
            portion = norm / norm.sum()
            entropy = -(portion * np.log(portion)).sum()
            slope = 1.0 - (np.log(portion) + entropy) / norm.sum()
            pull[...] = self.sparsity * np.maximum(slope, 0.1) / norm

    def quadratic(self, number: int) -> Array:
        """Matrices (i, c, c) of the quadratic form of one layer's edges, sparsity aside.

        For prices that do not differ between output nodes.
        """
        nodes = np.arange(len(self._layers[number].fixed))
        forms = self._layers[number]
        return self.blocks(number, np.zeros_like(nodes), nodes) - (
            self._pull[number][0][:, None, None] * forms.size
        )

    def sizes(self, number: int) -> Array:
        """Matrices (i, c, c) whose quadratic form is the variance of an edge of one layer."""
        return self._layers[number].size

    def blocks(self, number: int, outs: NDArray[np.intp], ins: NDArray[np.intp]) -> Array:
        """Matrices (e, c, c) of the quadratic form of the edges from ``ins`` to ``outs``."""
        forms = self._layers[number]
        return (
            self.roughness[number][outs, ins, None, None] * forms.rough[ins]
            + self.steepness[number][outs, ins, None, None] * forms.steep[ins]
            + self.base[number][outs, ins, None, None] * forms.base[ins]
            + self._pull[number][outs, ins, None, None] * forms.size[ins]
            + forms.fixed[ins]
        )

    def value(self, layout: Layout, vector: Array) -> float:
        """Half the quadratic form at parameters ``vector`` (p,)."""
        total = 0.5 * self.shift * float((vector[layout.biases[-1]] ** 2).sum())
        for number, (edges, (outs, ins)) in enumerate(zip(layout.edges, layout.ends, strict=True)):
            weights = vector[edges]
            blocks = self.blocks(number, outs, ins)
            total += 0.5 * float((weights[:, None, :] @ blocks @ weights[:, :, None]).sum())
        return total

    def add_to(self, layout: Layout, vector: Array, gradient: Array, curvature: Array) -> None:
        """Add the gradient and the matrix of the quadratic form at ``vector``, in place."""
        last = layout.biases[-1]
        gradient[last] += self.shift * vector[last]
        curvature[last, last] += self.shift
        for number, (edges, (outs, ins)) in enumerate(zip(layout.edges, layout.ends, strict=True)):
            blocks = self.blocks(number, outs, ins)
            gradient[edges] += (blocks @ vector[edges][:, :, None])[..., 0]
            curvature[edges[:, :, None], edges[:, None, :]] += blocks

    def gradient(self, layout: Layout, vector: Array) -> Array:
        """Gradient (p,) of the quadratic form at ``vector``."""
        gradient = np.zeros(layout.size)
        gradient[layout.biases[-1]] = self.shift * vector[layout.biases[-1]]
        for number, (edges, (outs, ins)) in enumerate(zip(layout.edges, layout.ends, strict=True)):
            blocks = self.blocks(number, outs, ins)
            gradient[edges] += (blocks @ vector[edges][:, :, None])[..., 0]
        return gradient

    def learn(self, layout: Layout, vector: Array, spreads: list[Array], dispersion: float) -> None:
        """Renew the prices by one Fellner-Schall step.

        Parameters
        ----------
        vector : ndarray of shape (p,)
            Parameters, near the optimum for the present prices.
        spreads : list of ndarray of shape (e, c, c)
            Per layer, one block for every edge of the inverse of the penalised Gauss-Newton
            matrix.
        dispersion : float
            Noise variance divided by the number of observations.
        """
        for number, spread in enumerate(spreads):
            self.learn_layer(number, layout, vector, spread, dispersion)

    def learn_layer(
        self, number: int, layout: Layout, vector: Array, spread: Array, dispersion: float
    ) -> float:
        """Do the same for one layer, given the blocks ``spread`` (e, c, c) of the covariance.

        Returns the number of the layer's weights that the data determine.
        """
        edges, (outs, ins) = layout.edges[number], layout.ends[number]
        total = 0.0
        for kind in self._kinds(number):
            form = kind.form[ins]
            old = kind.price[outs, ins]
            determined = kind.rank - old * (spread * form).sum(axis=(1, 2))
            determined = np.clip(determined, 1e-3 * kind.rank, kind.rank)
            total += float(determined.sum())
            new = dispersion * determined / _squared(vector[edges], form)
            new = np.clip(new, old / _STRIDE, old * _STRIDE)
            kind.price[outs, ins] = kind.limit(new, dispersion)
        return total

    def imply(self, layout: Layout, vector: Array, dispersion: float) -> None:
        """Set the prices to those under which the parameters ``vector`` (p,) are typical."""
        for number, (edges, (outs, ins)) in enumerate(zip(layout.edges, layout.ends, strict=True)):
            for kind in self._kinds(number):
                new = dispersion * kind.rank / _squared(vector[edges], kind.form[ins])
                kind.price[outs, ins] = kind.limit(new, dispersion)

    def _kinds(self, number: int) -> list[_Kind]:
        forms = self._layers[number]
        return [
            _Kind(
                self.roughness[number],
                forms.rough,
                forms.rank,
                _LEAST,
                _FAINTEST_BEND,
                _BOLDEST_BEND if self.shift else _BOLDEST_WAVE,
            ),
            _Kind(self.steepness[number], forms.steep, 1, _LEAST, _FAINTEST, _BOLDEST),
            _Kind(self.base[number], forms.base, 1, _LEAST_BASE, _FAINTEST, _BOLDEST),
        ]
