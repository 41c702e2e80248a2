"""How well the shipped encoder and judge know drawn people whom neither has seen.

A gallery of 500 fresh portraits, one per person; probes are other portraits of the same people and
faces cut from two-person scenes of 48, 64 and 96 px. The rank-1 rate on scenes is the oracle of a
generator of that size: what its pictures would score if they were perfect. Chance is 0.002.

    python benchmarks/instantfamily/recognisers.py [--candidates 500] [--seed 2024]

There is no peer: the paper (arXiv 2404.19427) measures photographs with FaceNet.
"""

import argparse
import json
from dataclasses import asdict

from zoo_instantfamily.encoders import load_encoder, load_judge, verify


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--seed", type=int, default=2024)
    options = parser.parse_args()
    result = {}
    for name, load in (("encoder", load_encoder), ("judge", load_judge)):
        model = load()
        figures = verify(
            model, size=model.image_size, candidates=options.candidates, seed=options.seed
        )
        result[name] = asdict(figures)
        scenes = "  ".join(
            f"{side} px {rate:.3f}" for side, rate in figures.rank_one_scenes.items()
        )
        print(f"{name}: {sum(p.numel() for p in model.parameters())} parameters")
        print(f"  rank-1 among {figures.candidates}: portraits {figures.rank_one:.3f}  {scenes}")
        print(f"  pairs told right {figures.pair_accuracy:.4f}", end="")
        print(f"  accepted at one false in 1000 {figures.accept_rate:.3f}", end="")
        print(f"  cosine same {figures.same:.3f} other {figures.other:.3f}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
