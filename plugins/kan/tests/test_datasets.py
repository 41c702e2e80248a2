import numpy as np
import pytest

from zoo_kan.datasets import load_knots, make_mobility_edge


def test__load_knots__signature__is_even_and_near_half_the_slope():
    knots = load_knots()
    assert knots.data.shape == (11998, 3)
    assert knots.feature_names == ["mu_real", "mu_imag", "lambda"]
    assert not (knots.target % 2).any()
    meridian = knots.data[:, 0] + 1j * knots.data[:, 1]
    half_slope = (knots.data[:, 2] / meridian).real / 2.0
    assert np.corrcoef(half_slope, knots.target)[0, 1] > 0.96
    # Adams: no meridian of the maximal cusp is shorter than 1
    assert np.abs(meridian).min() > 0.999
    assert "SnapPy" in knots.DESCR


@pytest.mark.parametrize(
    ("model", "law"),
    [
        ("gaam", lambda e, alpha, lam: alpha * e + 2.0 * lam - 2.0),
        ("maam", lambda e, p, lam: lam * np.cosh(p) - e - np.exp(p)),
    ],
    ids=["gaam", "maam"],
)
def test__make_mobility_edge__theory__divides_the_states(model, law):
    chains = make_mobility_edge(model, n_sites=233, n_realisations=10, random_state=3)
    assert chains.data.shape == (2330, 3)
    assert np.bincount(chains.realisation).tolist() == [233] * 10
    localised = law(*chains.data.T) > 0.0
    assert 0.2 < localised.mean() < 0.8
    assert np.mean((chains.target < 0.5) == localised) > 0.97


def test__make_mobility_edge__one_ring__energies_are_those_of_its_matrix():
    ring = make_mobility_edge("gaam", n_sites=89, n_realisations=1, random_state=0)
    _, alpha, lam = ring.data[0]
    phase = np.random.default_rng(0).uniform(0.0, 2.0 * np.pi)
    cosine = np.cos(2.0 * np.pi * 55 / 89 * np.arange(89) + phase)
    chain = np.diag(2.0 * lam * cosine / (1.0 - alpha * cosine))
    chain += np.eye(89, k=1) + np.eye(89, k=-1) + np.eye(89, k=88) + np.eye(89, k=-88)
    np.testing.assert_allclose(ring.data[:, 0], np.linalg.eigvalsh(chain), atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "mosaic"}, r"must be one of \['gaam', 'maam'\]. Got 'mosaic'"),
        ({"n_sites": 100}, r"n_sites of make_mobility_edge must be one of .* Got 100"),
        ({"n_realisations": 0}, r"must be at least 1. Got 0"),
    ],
    ids=["model", "sites", "realisations"],
)
def test__make_mobility_edge__bad_parameter__is_an_error(change, message):
    with pytest.raises(ValueError, match=message):
        make_mobility_edge(**change)
