"""The data that comes with the plugin."""

import csv
from importlib import resources

import numpy as np
from sklearn.utils import Bunch

__all__ = ["load_orbits"]


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
    folder = resources.files("zoo_kan") / "data"
    table = (folder / "orbits.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    features, target = ["semi_major_axis_km", "central_mass_1e24kg"], "period_days"
    return Bunch(
        data=np.array([[float(row[name]) for name in features] for row in rows]),
        target=np.array([float(row[target]) for row in rows]),
        feature_names=features,
        target_name=target,
        body=np.array([row["body"] for row in rows]),
        central_body=np.array([row["central_body"] for row in rows]),
        DESCR=(folder / "README.md").read_text(encoding="utf-8"),
    )
