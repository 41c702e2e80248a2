"""Steps without the matrix against steps with it."""

import numpy as np
import pytest

from zoo_kan.solvers import fit_lm, initial_network, krylov
from zoo_kan.solvers.expansion import DenseExpansion
from zoo_kan.solvers.krylov import KrylovExpansion
from zoo_kan.solvers.matvec import Products
from zoo_kan.solvers.penalty import Penalty
from zoo_kan.solvers.problem import Layout, Problem


def posed(loss, n_outputs, rows=150):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (rows, 3))
    if loss == "squared":
        T = rng.normal(size=(rows, n_outputs))
    elif n_outputs == 1:
        T = rng.integers(0, 2, (rows, 1)).astype(float)
    else:
        T = np.eye(n_outputs)[rng.integers(0, n_outputs, rows)]
    network = initial_network(
        X, T, [3, (2, 2), 2, n_outputs], grid=4, standardise_outputs=loss == "squared", rng=rng
    )
    network.layers[0].mask[1, 2] = False
    network.layers[0].weights = network.layers[0].weights
    problem = Problem(X, T, rng.uniform(0.5, 2.0, rows), loss)
    penalty = Penalty.uniform(network, roughness=1e-3, steepness=1e-3, base=1e-3)
    penalty.prepare(network, problem)
    return problem, network, Layout.of(network), penalty


CASES = [("squared", 1), ("squared", 2), ("logistic", 1), ("logistic", 3)]


@pytest.mark.parametrize(("loss", "n_outputs"), CASES)
def test__krylov_expansion__solved_exactly__is_the_dense_step(monkeypatch, loss, n_outputs):
    monkeypatch.setattr(krylov, "_RESIDUAL", 1e-9)
    monkeypatch.setattr(krylov, "_MOST_ITERATIONS", 3000)
    dense, iterative = (
        DenseExpansion(*posed(loss, n_outputs)),
        KrylovExpansion(*posed(loss, n_outputs)),
    )
    assert iterative.value == pytest.approx(dense.value, rel=1e-12)
    wanted, promised = dense.solve(1e-2)
    got, promise = iterative.solve(1e-2)
    np.testing.assert_allclose(got, wanted, atol=1e-6 * np.abs(wanted).max())
    assert promise == pytest.approx(promised, rel=1e-6)


def test__krylov_expansion__one_layer_and_one_output__learns_as_the_dense_one():
    rng = np.random.default_rng(1)
    X, T = rng.uniform(-1, 1, (200, 3)), rng.normal(size=(200, 1))
    network = initial_network(X, T, [3, 1], grid=5, rng=rng)
    problem = Problem(X, T, np.ones(200))
    penalty = Penalty.uniform(network, roughness=1e-3, steepness=1e-3, base=1e-3)
    penalty.prepare(network, problem)
    layout = Layout.of(network)
    dense = DenseExpansion(problem, network, layout, penalty)
    iterative = KrylovExpansion(problem, network, layout, penalty)
    # one block is the whole matrix here
    np.testing.assert_allclose(iterative.spreads()[0], dense.spreads()[0], rtol=1e-6, atol=1e-9)
    assert iterative.effective() == pytest.approx(dense.effective(), rel=1e-6)


def test__krylov_expansion__wide_node__is_cut_into_blocks_of_bounded_size(monkeypatch):
    monkeypatch.setattr(krylov, "_WIDEST", 20)
    expansion = KrylovExpansion(*posed("squared", 1))
    sizes = [len(block.positions) for block in expansion._blocks]
    assert max(sizes) <= 21
    positions = np.sort(np.concatenate([block.positions for block in expansion._blocks]))
    assert np.array_equal(positions, np.arange(len(positions)))
    step, promised = expansion.solve(1e-2)
    assert np.isfinite(step).all()
    assert promised > 0.0


def test__products__small_pieces__give_what_one_piece_gives(monkeypatch):
    problem, network, layout, _ = posed("squared", 2)
    rng = np.random.default_rng(2)
    vector, outputs = rng.normal(size=layout.size), rng.normal(size=problem.T.shape)
    whole = Products(network, layout, problem.X, problem.share)
    monkeypatch.setattr("zoo_kan.solvers.matvec._PIECE", 2000)
    monkeypatch.setattr("zoo_kan.solvers.matvec._HELD", 0)
    parts = Products(network, layout, problem.X, problem.share)
    assert len(list(parts.pieces())) > 1
    np.testing.assert_allclose(parts.push(vector), whole.push(vector), atol=1e-12)
    np.testing.assert_allclose(parts.pull(outputs), whole.pull(outputs), atol=1e-12)
    # the transpose
    assert np.vdot(parts.push(vector), outputs) == pytest.approx(vector @ parts.pull(outputs))


@pytest.mark.parametrize("equations", ["direct", "iterative"])
def test__fit_lm__either_equations__reach_the_same_loss(equations):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (400, 2))
    Y = np.c_[np.exp(np.sin(3 * X[:, 0]) + X[:, 1] ** 2), X[:, 0] * X[:, 1]]
    network = initial_network(X, Y, [2, 4, 2], grid=5, rng=np.random.default_rng(3))
    result = fit_lm(network, X, Y, equations=equations, max_iter=100)
    assert result.loss < 2e-4


def test__fit_lm__unknown_equations__raises():
    problem, network, _, _ = posed("squared", 1)
    with pytest.raises(ValueError, match="equations of fit_lm must be 'auto', 'direct'"):
        fit_lm(network, problem.X, problem.T, equations="magic")
