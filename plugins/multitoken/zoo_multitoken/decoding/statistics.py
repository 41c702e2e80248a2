"""What a decoding did, counted."""

from dataclasses import dataclass, field

__all__ = ["SOURCES", "Statistics"]

#: Where a draft came from; ``"none"`` stands for a forward without one.
SOURCES = ("heads", "lookup", "none")


@dataclass
class Statistics:
    """Counts of one decoding.

    A forward over a batch counts once in `forwards` and once for every unfinished row in `steps`.
    The first token of a row comes from its prompt's forward and counts in `tokens` alone.

    Attributes
    ----------
    rows, tokens : int
        Texts continued, and tokens added to them.
    forwards : int
        Forwards after the prompts.
    steps : int
        Rows served by these forwards.
    stepped_tokens : int
        Tokens that these forwards added.
    bursts : dict of int to int
        Tokens that a step added to a row, to the number of such steps.
    proposed, accepted : dict of str to list of int
        For each source, how often its ``i``-th draft was verified with all before it accepted, and
        how often it was accepted itself.
    prefill_seconds, decode_seconds : float
        Wall time of the prompts' forward and of all that followed.
    """

    rows: int = 0
    tokens: int = 0
    forwards: int = 0
    steps: int = 0
    stepped_tokens: int = 0
    bursts: dict[int, int] = field(default_factory=dict)
    proposed: dict[str, list[int]] = field(default_factory=dict)
    accepted: dict[str, list[int]] = field(default_factory=dict)
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0

    @property
    def tokens_per_forward(self) -> float:
        """Tokens that a forward adds to a row, on average; NaN before the first forward."""
        return self.stepped_tokens / self.steps if self.steps else float("nan")

    @property
    def tokens_per_second(self) -> float:
        """Tokens of all rows per second after the prompts; NaN before the first forward."""
        return self.stepped_tokens / self.decode_seconds if self.decode_seconds else float("nan")

    def acceptance(self, source: str) -> list[float]:
        """Acceptance of a source by place, given that all before it were accepted.

        Parameters
        ----------
        source : {"heads", "lookup"}
            Where the drafts came from.

        Returns
        -------
        list of float
            Entry 0 is the first draft: of the heads, head 2.
        """
        pairs = zip(self.accepted.get(source, []), self.proposed.get(source, []), strict=True)
        return [accepted / proposed if proposed else float("nan") for accepted, proposed in pairs]

    def count_step(self, source: str, *, drafted: int, accepted: int, taken: int) -> None:
        """Count one row's part in a forward.

        Parameters
        ----------
        source : {"heads", "lookup", "none"}
            Where its drafts came from.
        drafted, accepted : int
            Its drafts, and how many were accepted.
        taken : int
            Tokens it added, fewer than accepted plus one where the row ended.
        """
        self.steps += 1
        self.stepped_tokens += taken
        self.bursts[taken] = self.bursts.get(taken, 0) + 1
        if not drafted:
            return
        proposed = self.proposed.setdefault(source, [])
        hits = self.accepted.setdefault(source, [])
        while len(proposed) < drafted:
            proposed.append(0)
            hits.append(0)
        for place in range(min(drafted, accepted + 1)):
            proposed[place] += 1
            hits[place] += place < accepted

    def add(self, other: "Statistics") -> None:
        """Add the counts of another decoding.

        Parameters
        ----------
        other : Statistics
            Its counts.
        """
        for name in ("rows", "tokens", "forwards", "steps", "stepped_tokens"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.prefill_seconds += other.prefill_seconds
        self.decode_seconds += other.decode_seconds
        for size, count in other.bursts.items():
            self.bursts[size] = self.bursts.get(size, 0) + count
        for mine, theirs in ((self.proposed, other.proposed), (self.accepted, other.accepted)):
            for source, counts in theirs.items():
                sums = mine.setdefault(source, [])
                sums.extend([0] * (len(counts) - len(sums)))
                for place, count in enumerate(counts):
                    sums[place] += count
