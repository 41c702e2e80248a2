import numpy as np
import pytest

from zoo_kan.datasets import load_orbits

GRAVITATION = 6.67430e-11  # CODATA 2018, m^3 kg^-1 s^-2
DAY = 86400.0


@pytest.fixture(scope="module")
def orbits():
    return load_orbits()


def test__orbits__every_row__obeys_keplers_third_law_within_two_percent(orbits):
    metres, kilograms = orbits.data[:, 0] * 1e3, orbits.data[:, 1] * 1e24
    days = 2 * np.pi * np.sqrt(metres**3 / (GRAVITATION * kilograms)) / DAY
    deviation = np.abs(days / orbits.target - 1)
    assert dict(zip(orbits.body[deviation > 0.02], deviation[deviation > 0.02], strict=True)) == {}


def test__orbits__are_measurements__not_computed_from_the_law(orbits):
    metres, kilograms = orbits.data[:, 0] * 1e3, orbits.data[:, 1] * 1e24
    days = 2 * np.pi * np.sqrt(metres**3 / (GRAVITATION * kilograms)) / DAY
    assert np.median(np.abs(days / orbits.target - 1)) > 1e-4


def test__orbits__table__covers_eight_centres_and_names_each_body_once(orbits):
    assert orbits.data.shape == (66, 2)
    assert len(set(orbits.body)) == 66
    masses = {centre: set() for centre in orbits.central_body}
    for centre, mass in zip(orbits.central_body, orbits.data[:, 1], strict=True):
        masses[centre].add(mass)
    assert all(len(found) == 1 for found in masses.values())
    assert sorted(masses) == [
        "Earth",
        "Jupiter",
        "Mars",
        "Neptune",
        "Pluto and Charon",
        "Saturn",
        "Sun",
        "Uranus",
    ]


def test__orbits__description__names_sources_and_licence(orbits):
    for part in ("nssdc.gsfc.nasa.gov", "ssd.jpl.nasa.gov", "Licence", *orbits.feature_names):
        assert part in orbits.DESCR


@pytest.mark.parametrize(
    ("body", "kilometres", "days"),
    [("Earth", 149_598_000, 365.256), ("Io", 421_800, 1.769138), ("Triton", 354_760, 5.876854)],
)
def test__orbits__some_bodies__stand_as_published(orbits, body, kilometres, days):
    row = list(orbits.body).index(body)
    assert orbits.data[row, 0] == kilometres
    assert orbits.target[row] == days
