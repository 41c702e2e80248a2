"""The data that comes with the plugin, and data that it computes."""

import csv
from importlib import resources

import numpy as np
from sklearn.utils import Bunch

__all__ = ["load_knots", "load_orbits", "make_mobility_edge"]

_FIBONACCI = (89, 144, 233, 377, 610, 987, 1597)
_RANGES = {"gaam": ((-0.9, 0.9), (0.2, 1.8)), "maam": ((0.8, 3.0), (0.2, 4.0))}
_PARAMETER = {"gaam": "alpha", "maam": "p"}


def load_orbits() -> Bunch:
    """Published orbits of 66 planets and moons, to rediscover Kepler's third law from.

    The values stand as NASA's and JPL's fact sheets give them, with their rounding; they deviate
    from the law by up to 1%. ``data/README.md`` beside the table names the sources.

    Returns
    -------
    Bunch
        ``data`` of shape (66, 2): semi-major axis in kilometres, mass of the central body in
        10^24 kg; ``target`` of shape (66,): sidereal period in days; ``feature_names``,
        ``target_name``; ``body`` and ``central_body``, arrays of shape (66,) of names; ``DESCR``.

    Examples
    --------
    >>> from zoo_kan.datasets import load_orbits
    >>> orbits = load_orbits()
    >>> orbits.data.shape, str(orbits.body[2]), float(orbits.target[2])
    ((66, 2), 'Earth', 365.256)
    """
    rows, description = _table("orbits.csv", "README.md")
    features, target = ["semi_major_axis_km", "central_mass_1e24kg"], "period_days"
    return Bunch(
        data=np.array([[float(row[name]) for name in features] for row in rows]),
        target=np.array([float(row[target]) for row in rows]),
        feature_names=features,
        target_name=target,
        body=np.array([row["body"] for row in rows]),
        central_body=np.array([row["central_body"] for row in rows]),
        DESCR=description,
    )


def load_knots() -> Bunch:
    """Cusp shapes and signatures of 11,998 hyperbolic knots, after Davies et al. (Nature 2021).

    A random sample of the knots of up to 14 crossings in SnapPy's census. ``data/knots.md`` beside
    the table says how it was computed, and with which conventions.

    Returns
    -------
    Bunch
        ``data`` of shape (n_knots, 3): real and imaginary part of the meridional translation
        of the maximal cusp, and its longitudinal translation, which is real; ``target`` of
        shape (n_knots,): the signature, an even integer; ``feature_names``, ``target_name``,
        ``DESCR``.

    References
    ----------
    .. [1] Davies, A. et al. Advancing mathematics by guiding human intuition with AI.
       Nature 600, 70-74 (2021). https://doi.org/10.1038/s41586-021-04086-x
    """
    rows, description = _table("knots.csv", "knots.md")
    features, target = ["mu_real", "mu_imag", "lambda"], "signature"
    return Bunch(
        data=np.array([[float(row[name]) for name in features] for row in rows]),
        target=np.array([int(row[target]) for row in rows]),
        feature_names=features,
        target_name=target,
        DESCR=description,
    )


def _table(table: str, description: str) -> tuple[list[dict[str, str]], str]:
    folder = resources.files("zoo_kan") / "data"
    text = (folder / table).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines())), (folder / description).read_text(
        encoding="utf-8"
    )


def make_mobility_edge(
    model: str = "gaam",
    *,
    n_sites: int = 610,
    n_realisations: int = 100,
    random_state: int = 0,
) -> Bunch:
    """Eigenstates of quasiperiodic chains, localised on one side of a mobility edge.

    Each realisation is a ring of ``n_sites`` with a quasiperiodic potential of random phase and
    parameters (Section 4.4 of the KAN paper [1]_), whose eigenstates are computed exactly. The
    period is a ratio of Fibonacci numbers in place of the golden mean, so that the ring closes;
    an open chain has localised states at its ends as well.

    ``"gaam"``, the generalised Aubry-Andre model [2]_: nearest neighbours at hopping 1, potential
    ``2 lambda cos(2 pi b n + phi) / (1 - alpha cos(2 pi b n + phi))``; states are localised where
    ``alpha E + 2 lambda - 2 > 0``.

    ``"maam"``, the modified one [3]_: hopping ``exp(-p (|n - m| - 1))``, potential
    ``lambda cos(2 pi b n + phi)``; states are localised where ``E + exp(p) - lambda cosh(p) < 0``.

    Parameters
    ----------
    model : {"gaam", "maam"}
    n_sites : int
        89, 144, 233, 377, 610, 987 or 1597.
    n_realisations : int
    random_state : int

    Returns
    -------
    Bunch
        ``data`` of shape (n_sites * n_realisations, 3): energy, ``alpha`` or ``p``, ``lambda``;
        ``target``, shape (n_sites * n_realisations,): fractal dimension
        ``-log(sum |psi|^4) / log(n_sites)``, near 0 for localised and 1 for extended states;
        ``realisation``, of the same shape: number of the chain; ``feature_names``,
        ``target_name``.

    Raises
    ------
    ValueError
        If the model or the number of sites is not one of those above, or there is no realisation.

    References
    ----------
    .. [1] Liu, Z. et al. KAN: Kolmogorov-Arnold networks. arXiv:2404.19756.
    .. [2] Ganeshan, S., Pixley, J. H., Das Sarma, S. Physical Review Letters 114, 146601 (2015).
    .. [3] Biddle, J., Das Sarma, S. Physical Review Letters 104, 070601 (2010).

    Examples
    --------
    >>> from zoo_kan.datasets import make_mobility_edge
    >>> chains = make_mobility_edge("gaam", n_sites=89, n_realisations=2)
    >>> chains.data.shape, chains.feature_names
    ((178, 3), ['E', 'alpha', 'lambda'])
    """
    if model not in _RANGES:
        raise ValueError(
            f"model of make_mobility_edge must be one of {sorted(_RANGES)}. Got {model!r}."
        )
    if n_sites not in _FIBONACCI:
        raise ValueError(
            f"n_sites of make_mobility_edge must be one of {_FIBONACCI}. Got {n_sites!r}."
        )
    if n_realisations < 1:
        raise ValueError(
            f"n_realisations of make_mobility_edge must be at least 1. Got {n_realisations!r}."
        )
    rng = np.random.default_rng(random_state)
    site = np.arange(n_sites)
    apart = np.abs(site[:, None] - site[None, :])
    apart = np.minimum(apart, n_sites - apart)
    wave = 2.0 * np.pi * site * (round(n_sites / ((1.0 + 5.0**0.5) / 2.0)) / n_sites)
    data, target = [], []
    for _ in range(n_realisations):
        cosine = np.cos(wave + rng.uniform(0.0, 2.0 * np.pi))
        shape, strength = (rng.uniform(*limits) for limits in _RANGES[model])
        if model == "gaam":
            chain = (apart == 1).astype(float)
            np.fill_diagonal(chain, 2.0 * strength * cosine / (1.0 - shape * cosine))
        else:
            chain = np.exp(-shape * (apart - 1.0))
            np.fill_diagonal(chain, strength * cosine)
        energy, states = np.linalg.eigh(chain)
        ones = np.ones(n_sites)
        data.append(np.stack([energy, shape * ones, strength * ones], axis=1))
        target.append(-np.log(np.sum(states**4, axis=0)) / np.log(n_sites))
    return Bunch(
        data=np.concatenate(data),
        target=np.concatenate(target),
        realisation=np.repeat(np.arange(n_realisations), n_sites),
        feature_names=["E", _PARAMETER[model], "lambda"],
        target_name="fractal dimension",
    )
