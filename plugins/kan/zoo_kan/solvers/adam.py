"""Minibatch training on a skorch net, for data too large for full batches.

The net is held, not inherited from, so its callbacks, schedules and checkpoints stay usable. No
global random state is read or written: weights start from the numpy network and rows are shuffled
by a generator of their own.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import Tensor, nn

from zoo_kan.layer import KANModule
from zoo_kan.network import EdgeLayer, KANNetwork
from zoo_kan.solvers.penalty import Penalty
from zoo_kan.solvers.problem import Problem
from zoo_kan.solvers.regrid import regrid
from zoo_kan.solvers.result import TrainingResult

__all__ = ["WeightedLoss", "fit_adam"]

Array = NDArray[np.floating]

_REGRID_ROWS = 4096
_STEEPNESS = 1e-6
_LARGE_BATCH = 500_000


class WeightedLoss(nn.Module):
    """Weighted mean loss of a minibatch.

    Parameters
    ----------
    kind : {"squared", "logistic"}

    Notes
    -----
    Targets come with their weight as last column, (n, n_outputs + 1).
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, z: Tensor, targets: Tensor) -> Tensor:
        """Mean over rows, by weight."""
        t, weight = targets[:, :-1], targets[:, -1]
        if self.kind == "squared":
            rows = ((z - t) ** 2).mean(dim=1)
        elif z.shape[1] == 1:
            rows = nn.functional.binary_cross_entropy_with_logits(z, t, reduction="none")[:, 0]
        else:
            rows = -(t * nn.functional.log_softmax(z, dim=1)).sum(dim=1)
        return (rows * weight).sum() / weight.sum()


class _SmoothNet(NeuralNet):
    """A net whose training loss includes the price of rough edges."""

    def get_loss(
        self,
        y_pred: Tensor,
        y_true: Tensor,
        X: Any = None,
        training: bool = False,  # noqa: FBT001, FBT002 - skorch's signature
    ) -> Tensor:
        """Loss of a minibatch, and when training the price on top."""
        loss = super().get_loss(y_pred, y_true, X, training=training)
        return loss + self.module_.price() if training else loss


class _Priced(nn.Module):
    """The network together with what its edges cost.

    Parameters
    ----------
    network : KANNetwork
        Where to start.
    problem : Problem
        Rows that the size of the edges is measured on.
    smoothness, sparsity, scale : float
        Prices, and the factor between the training loss and the one the prices are meant for.
    dtype : torch.dtype
    """

    def __init__(
        self,
        network: KANNetwork,
        problem: Problem,
        *,
        smoothness: float,
        sparsity: float,
        scale: float,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.kan = KANModule(network.layers, dtype)
        self.problem, self.dtype = problem, dtype
        self.smoothness, self.sparsity, self.scale = smoothness, sparsity, scale
        for number in range(len(network.layers)):
            self.register_buffer(f"_rough{number}", None, persistent=False)
            self.register_buffer(f"_size{number}", None, persistent=False)
        self.measure(network)

    def measure(self, network: KANNetwork) -> None:
        """Renew the penalty matrices (i, c, c) for the network's grids."""
        penalty = Penalty.uniform(
            network,
            roughness=self.smoothness,
            steepness=_STEEPNESS,
            base=_STEEPNESS,
            sparsity=self.sparsity,
            carried=False,
        )
        penalty.prepare(network, self.problem)
        device = self.kan.layers[0].bias.device
        for number, layer in enumerate(network.layers):
            n_features = layer.coef.shape[2] + 1
            for name, matrices in (
                ("rough", 0.5 * self.scale * penalty.quadratic(number)),
                ("size", penalty.sizes(number)),
            ):
                full = np.zeros((layer.n_in, n_features, n_features))
                full[:, : matrices.shape[1], : matrices.shape[2]] = matrices
                buffer = torch.tensor(full, dtype=self.dtype, device=device)
                setattr(self, f"_{name}{number}", buffer)

    def forward(self, x: Tensor) -> Tensor:
        return self.kan(x)

    def price(self) -> Tensor:
        """Price of the present weights."""
        total = torch.zeros((), dtype=self.dtype, device=self.kan.layers[0].bias.device)
        for number, layer in enumerate(self.kan.layers):
            weights = layer.weights()  # (o, c, i)
            rough, size = getattr(self, f"_rough{number}"), getattr(self, f"_size{number}")
            total = total + torch.einsum("oci,icd,odi->", weights, rough, weights)
            if self.sparsity:
                squared = torch.einsum("oci,icd,odi->oi", weights, size, weights)
                norm = (squared.clamp(min=0.0) + 1e-8).sqrt()
                portion = norm / norm.sum()
                entropy = -(portion * portion.log()).sum()
                total = total + self.scale * self.sparsity * (norm.sum() + entropy)
        return total


def _n_features(layer: EdgeLayer) -> int:
    return layer.n_in * (layer.coef.shape[2] + 1)


@contextmanager
def _few_torch_threads(entries: int) -> Iterator[None]:
    """Run torch on one thread while minibatches have few ``entries``: waking more takes longer."""
    before = torch.get_num_threads()
    if entries < _LARGE_BATCH:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _silent(message: str) -> None:
    """Swallow what skorch would print."""


class _Regrid(Callback):
    """Moves grids to the activations after epochs 1, 2, 4, 8, ... of the first half."""

    def __init__(self, network: KANNetwork, rows: Array) -> None:
        self.network, self.rows = network, rows

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        epoch = len(net.history)
        if epoch & (epoch - 1) or 2 * epoch > net.max_epochs:
            return
        kan = net.module_.kan
        present = KANNetwork(
            kan.to_layers(),
            self.network.input_mean,
            self.network.input_scale,
            self.network.output_mean,
            self.network.output_scale,
        )
        moved = regrid(present, self.rows, rename=False)
        kan.load_layers(moved.layers)
        net.module_.measure(moved)


class _Report(Callback):
    """Turns skorch's epochs into history entries."""

    def __init__(self, sink: list[dict[str, Any]], grid: int, progress: Any) -> None:
        self.sink, self.grid, self.progress = sink, grid, progress

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        last = net.history[-1]
        entry = {
            "iteration": int(last["epoch"]),
            "grid": self.grid,
            "loss": float(last["train_loss"]),
        }
        if "valid_loss" in last:
            entry["validation_loss"] = float(last["valid_loss"])
        self.sink.append(entry)
        if self.progress is not None:
            self.progress(entry)


def fit_adam(
    network: KANNetwork,
    X: Array,
    T: Array,
    weight: Array | None = None,
    *,
    loss: str = "squared",
    smoothness: float = 1e-5,
    sparsity: float = 0.0,
    max_iter: int = 100,
    validation: tuple[Array, Array, Array] | None = None,
    patience: int = 10,
    seed: int = 0,
    net_params: Mapping[str, Any] | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> tuple[TrainingResult, NeuralNet]:
    """Train a network by Adam on minibatches.

    Parameters
    ----------
    network : KANNetwork
        Where to start. It is left unchanged.
    X, T, weight, loss, sparsity, validation, progress
        As in `fit_lm`.
    smoothness : float
        Price of every edge's squared second derivative.
    max_iter : int
        Epochs.
    patience : int
        Epochs without progress on the held-out rows after which training stops.
    seed : int
        Seed of the generator that shuffles the rows.
    net_params : mapping, optional
        Arguments of ``skorch.NeuralNet`` that replace ours, such as ``lr``, ``batch_size``,
        ``optimizer``, ``device``; ``callbacks`` are added to ours, and ``dtype`` may be
        ``"float32"`` (default) or ``"float64"``.

    Returns
    -------
    result : TrainingResult
    net : skorch.NeuralNet
        The trained net, on standardised inputs.
    """
    params = dict(net_params or {})
    dtype = getattr(torch, str(params.pop("dtype", "float32")))
    weight = np.ones(len(X)) if weight is None else np.asarray(weight, dtype=np.float64)
    kept = weight > 0.0
    X, T, weight = X[kept], T[kept], weight[kept]

    def tensors(rows: Array, targets: Array, weights: Array) -> tuple[Tensor, Tensor]:
        standardised = (targets - network.output_mean) / network.output_scale
        labelled = np.concatenate([standardised, weights[:, None]], axis=1)
        return (
            torch.tensor(network.standardise(rows), dtype=dtype),
            torch.tensor(labelled, dtype=dtype),
        )

    problem = Problem(X, (T - network.output_mean) / network.output_scale, weight, loss)
    # every step-th row: enough to see where the activations are, and no random draw
    step = slice(None, None, max(1, len(X) // _REGRID_ROWS))
    sample = X[step]
    history: list[dict[str, Any]] = []
    callbacks: list[Any] = [
        ("report", _Report(history, network.layers[0].grid, progress)),
        ("schedule", LRScheduler("CosineAnnealingLR", T_max=max_iter)),
    ]
    if len(network.layers) > 1:
        callbacks.append(("regrid", _Regrid(network, sample)))
    callbacks.extend(params.pop("callbacks", None) or [])
    if validation is not None:
        # last, since it ends an epoch: callbacks behind it would miss the last one
        stop = EarlyStopping(patience=patience, load_best=True, sink=_silent)
        callbacks.append(("early_stopping", stop))
    arguments = {
        "lr": 1e-2,
        "batch_size": int(np.clip(len(X) // 16, 16, 256)),
        "optimizer": torch.optim.Adam,
        "verbose": 0,
        "iterator_train__shuffle": True,
        # a loader without a generator would draw its seed from torch's global one
        "iterator_train__generator": torch.Generator().manual_seed(seed),
        "iterator_valid__generator": torch.Generator().manual_seed(seed),
        **params,
    }
    scale = 2.0 / T.shape[1] if loss == "squared" else 1.0
    rows, labelled = tensors(X, T, weight)
    net = _SmoothNet(
        _Priced(
            network,
            Problem(sample, problem.T[step], weight[step], loss),
            smoothness=smoothness,
            sparsity=sparsity,
            scale=scale,
            dtype=dtype,
        ),
        criterion=WeightedLoss(loss),
        max_epochs=max_iter,
        train_split=(
            None if validation is None else predefined_split(Dataset(*tensors(*validation)))
        ),
        callbacks=callbacks,
        **arguments,
    )
    with _few_torch_threads(arguments["batch_size"] * max(map(_n_features, network.layers))):
        net.fit(rows, labelled)
    trained = KANNetwork(
        net.module_.kan.to_layers(),
        network.input_mean,
        network.input_scale,
        network.output_mean,
        network.output_scale,
    )
    scale = 2.0 / T.shape[1] if loss == "squared" else 1.0
    value = scale * problem.value(trained)
    held_out = [entry["validation_loss"] for entry in history if "validation_loss" in entry]
    result = TrainingResult(
        network=trained,
        n_iter=len(history),
        loss=value,
        history=history,
        converged=len(history) < max_iter,
        score=min(held_out, default=value),
        effective_parameters=float(trained.n_parameters),
        smoothness=smoothness,
    )
    return result, net
