"""Draw the picture of the README: ``python docs/picture.py`` writes ``docs/_static/kan.png``."""

from pathlib import Path

import numpy as np
import pandas as pd

import zoo


def main() -> None:
    """Fit the paper's example with 1% of noise, draw the network, set its formula below."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.uniform(-1, 1, (1000, 2)), columns=["u", "v"])
    target = np.exp(np.sin(np.pi * X["u"]) + X["v"] ** 2)
    target = target + 0.01 * target.std() * rng.normal(size=len(X))
    model = zoo.load("kan", random_state=0).fit(X, target)
    formula = model.to_symbolic()
    figure = model.plot()
    figure.text(0.5, -0.03, f"${formula.latex()}$", ha="center", va="top", fontsize=22)
    path = Path(__file__).parent / "_static" / "kan.png"
    figure.savefig(path, dpi=130, bbox_inches="tight", facecolor="white")
    print(formula)


if __name__ == "__main__":
    main()
