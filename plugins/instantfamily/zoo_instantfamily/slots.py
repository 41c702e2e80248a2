"""The sixteen colours that tell the people of a control image apart, in their order."""

import colorsys

__all__ = ["MOST_PEOPLE", "SLOTS"]

MOST_PEOPLE = 16
"""Most people that one picture takes."""

SLOTS: tuple[tuple[float, float, float], ...] = tuple(
    # Steps of seven sixteenths of the colour wheel: neighbours in the list differ most.
    colorsys.hsv_to_rgb((k * 7 % MOST_PEOPLE) / MOST_PEOPLE, 1.0, 1.0)
    for k in range(MOST_PEOPLE)
)
"""Red, green and blue in [0, 1] of each place in the list of faces."""
