"""L-BFGS and Adam."""

import numpy as np
import pytest
import torch

from zoo_kan.solvers import fit_lm, initial_network
from zoo_kan.solvers.adam import WeightedLoss, fit_adam
from zoo_kan.solvers.lbfgs import fit_lbfgs
from zoo_kan.solvers.loss import LOSSES, probabilities
from zoo_kan.solvers.penalty import Penalty


def friendly(rows=400, seed=0, noise=0.1):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (rows, 3))
    Y = np.sin(3 * X[:, :1]) + X[:, 1:2] ** 2 + noise * rng.normal(size=(rows, 1))
    return X, Y


def r2(network, X, Y):
    return 1 - np.mean((network.forward(X) - Y) ** 2) / Y.var()


def test__fit_lbfgs__convex_problem__ends_where_levenberg_marquardt_does():
    X, Y = friendly()
    network = initial_network(X, Y, [3, 1], grid=8, rng=np.random.default_rng(0))
    first = fit_lbfgs(network, X, Y, smoothness=1e-4, tol=1e-14)
    prices = Penalty.uniform(network, roughness=1e-4, steepness=1e-8, base=1e-8, carried=False)
    second = fit_lm(network, X, Y, smoothness=1e-4, tol=1e-12, penalty=prices)
    np.testing.assert_allclose(
        first.network.forward(X), second.network.forward(X), atol=1e-3 * Y.std()
    )


def test__fit_lbfgs__learned_smoothness__does_not_overfit():
    X, Y = friendly(150, noise=0.5)
    network = initial_network(X, Y, [3, 1], grid=20, rng=np.random.default_rng(0))
    V, W = friendly(500, seed=1, noise=0.0)
    learned = r2(fit_lbfgs(network, X, Y).network, V, W)
    rough = r2(fit_lbfgs(network, X, Y, smoothness=0.0).network, V, W)
    assert learned > 0.9
    assert learned > rough + 0.05


def test__fit_lbfgs__hidden_nodes__fits():
    X, Y = friendly()
    network = initial_network(X, Y, [3, 3, 1], grid=8, rng=np.random.default_rng(1))
    result = fit_lbfgs(network, X, Y)
    assert r2(result.network, *friendly(seed=1)) > 0.95
    assert result.n_iter == len(result.history) <= 500


def test__fit_lbfgs__held_out_rows__stop_it_and_choose():
    X, Y = friendly(60, noise=1.0)
    network = initial_network(X, Y, [3, 4, 1], grid=8, rng=np.random.default_rng(1))
    V, W = friendly(200, seed=1)
    result = fit_lbfgs(network, X, Y, smoothness=0.0, validation=(V, W, np.ones(200)), patience=5)
    judged = [entry["validation_loss"] for entry in result.history]
    assert result.score == pytest.approx(min(judged))
    assert len(judged) < 500


def test__fit_lbfgs__classes__fits_and_takes_weights_as_frequencies():
    X, _ = friendly()
    T = (X[:, :1] ** 2 + X[:, 1:2] > 0.5).astype(float)
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    outputs = []
    for rows, targets, w in (
        (X, T, weight.astype(float)),
        (X.repeat(weight, axis=0), T.repeat(weight, axis=0), np.ones(weight.sum())),
    ):
        network = initial_network(
            rows,
            targets,
            [3, 1],
            grid=5,
            weight=w,
            standardise_outputs=False,
            rng=np.random.default_rng(0),
        )
        result = fit_lbfgs(network, rows, targets, w, loss="logistic", smoothness=1e-5, tol=1e-13)
        outputs.append(result.network.forward(X))
    np.testing.assert_allclose(outputs[0], outputs[1], atol=0.05)
    assert np.mean((outputs[0] > 0) == T) > 0.95


@pytest.mark.parametrize(("loss", "n_outputs"), [("squared", 2), ("logistic", 1), ("logistic", 3)])
def test__weighted_loss__any_kind__equals_the_numpy_loss(loss, n_outputs):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(30, n_outputs))
    if loss == "squared":
        t = rng.normal(size=(30, n_outputs))
    elif n_outputs == 1:
        t = rng.integers(0, 2, (30, 1)).astype(float)
    else:
        t = np.eye(3)[rng.integers(0, 3, 30)]
    weight = rng.uniform(0.1, 2.0, 30)
    ours = WeightedLoss(loss)(torch.tensor(z), torch.tensor(np.c_[t, weight])).item()
    expected = np.average(LOSSES[loss].value(z, t), weights=weight)
    assert ours == pytest.approx(expected * (2 / n_outputs if loss == "squared" else 1), rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test__fit_adam__hidden_nodes__fits_and_the_network_is_the_net(dtype):
    X, Y = friendly(600)
    network = initial_network(X, Y, [3, 3, 1], grid=6, rng=np.random.default_rng(1))
    params = {"dtype": dtype, "batch_size": 64}
    result, net = fit_adam(network, X, Y, max_iter=40, net_params=params)
    assert r2(result.network, *friendly(seed=1)) > 0.95
    x = torch.tensor(result.network.standardise(X), dtype=getattr(torch, dtype))
    with torch.no_grad():
        z = net.module_(x).double().numpy()
    tolerance = 1e-4 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(
        z * result.network.output_scale + result.network.output_mean,
        result.network.forward(X),
        atol=tolerance,
    )
    assert len(result.history) == result.n_iter == 40


def test__fit_adam__one_seed__gives_one_network_and_moves_no_global_generator():
    X, Y = friendly(100)
    network = initial_network(X, Y, [3, 2, 1], grid=4, rng=np.random.default_rng(1))
    torch.manual_seed(7)
    before = torch.get_rng_state()
    held = (X[:20], Y[:20], np.ones(20))
    runs = [
        fit_adam(network, X, Y, max_iter=3, seed=seed, validation=held)[0].network.forward(X)
        for seed in (1, 1, 2)
    ]
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 1e-6


def test__fit_adam__early_stopping_and_own_callback__work_together():
    from skorch.callbacks import Callback

    class Count(Callback):
        def __init__(self):
            self.epochs = 0

        def on_epoch_end(self, net, **kwargs):
            self.epochs += 1

    X, Y = friendly(60, noise=1.0)
    V, W = friendly(200, seed=1)
    network = initial_network(X, Y, [3, 4, 1], grid=8, rng=np.random.default_rng(1))
    count = Count()
    result, _ = fit_adam(
        network,
        X,
        Y,
        max_iter=200,
        smoothness=0.0,
        patience=4,
        validation=(V, W, np.ones(200)),
        net_params={"callbacks": [("count", count)]},
    )
    assert count.epochs == result.n_iter < 200
    judged = [entry["validation_loss"] for entry in result.history]
    assert result.score == pytest.approx(min(judged))
    held_out = np.mean(((result.network.forward(V) - W) / network.output_scale) ** 2)
    assert held_out == pytest.approx(result.score, rel=1e-3)


def test__fit_adam__sparsity__shrinks_unused_edges():
    X, Y = friendly(300)
    network = initial_network(X, Y, [3, 1], grid=5, rng=np.random.default_rng(1))
    shares = []
    for price in (0.0, 0.05):
        result, _ = fit_adam(network, X, Y, max_iter=40, sparsity=price)
        edges = result.network.layers[0].edges(network.standardise(X)).std(axis=0)[0]
        shares.append(edges[2] / edges.sum())
    assert shares[1] < 0.5 * shares[0]


def test__fit_adam__three_classes__learns_them():
    X, _ = friendly(500)
    labels = np.digitize(X[:, 0] + X[:, 1] ** 2, [0.0, 0.6])
    network = initial_network(
        X,
        np.eye(3)[labels],
        [3, 3],
        grid=5,
        standardise_outputs=False,
        rng=np.random.default_rng(0),
    )
    result, _ = fit_adam(
        network,
        X,
        np.eye(3)[labels],
        loss="logistic",
        max_iter=40,
        smoothness=1e-6,
        net_params={"batch_size": 50, "lr": 0.05},
    )
    predicted = probabilities(result.network.forward(X)).argmax(axis=1)
    assert np.mean(predicted == labels) > 0.93
