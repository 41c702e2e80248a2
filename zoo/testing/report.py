"""What the checks found, as data."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["CheckResult", "Report", "Status"]

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Attributes
    ----------
    name : str
        ``"check"`` or ``"check[task]"``.
    status : {"passed", "failed", "skipped"}
        What came out.
    reason : str
        Why it failed or was skipped; empty when it passed.
    seconds : float
        How long it took.
    """

    name: str
    status: Status
    reason: str
    seconds: float


@dataclass(frozen=True)
class Report:
    """The results of all checks of one model.

    Attributes
    ----------
    model : str
        Its name.
    results : tuple of CheckResult
        In the order they ran.
    """

    model: str
    results: tuple[CheckResult, ...]

    @property
    def failed(self) -> list[CheckResult]:
        """The checks that failed."""
        return [result for result in self.results if result.status == "failed"]

    @property
    def skipped(self) -> list[CheckResult]:
        """The checks that were skipped."""
        return [result for result in self.results if result.status == "skipped"]

    def raise_if_failed(self) -> None:
        """Raise when a check failed.

        Raises
        ------
        AssertionError
            With the name and reason of every failed check.
        """
        if self.failed:
            reasons = "\n".join(f"- {result.name}: {result.reason}" for result in self.failed)
            raise AssertionError(
                f"{len(self.failed)} of {len(self.results)} checks of {self.model!r} failed:\n"
                f"{reasons}"
            )

    def __str__(self) -> str:
        width = max((len(result.name) for result in self.results), default=0)
        lines = [
            f"{result.status:<8} {result.name:<{width}} {result.seconds:7.2f} s  {result.reason}"
            for result in self.results
        ]
        passed = len(self.results) - len(self.failed) - len(self.skipped)
        lines.append(
            f"{self.model}: {passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"
        )
        return "\n".join(line.rstrip() for line in lines)
