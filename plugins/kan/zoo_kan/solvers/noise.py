"""How noisy the targets are, by what a fit leaves unexplained."""

from zoo_kan.solvers.problem import Problem

__all__ = ["dispersion"]

_LEAST = 1e-28
_LEAST_OVERCOMPLETE = 1e-4  # variance taken for noise where parameters outnumber the rows


def dispersion(problem: Problem, value: float, edof: float, size: int) -> float:
    """Noise variance divided by the number of observations.

    Parameters
    ----------
    problem : Problem
    value : float
        Weighted mean loss of the fit.
    edof : float
        Effective number of parameters of the fit.
    size : int
        Number of parameters.

    Returns
    -------
    float
        For log losses, whose noise is part of the model, one by the number of observations.
    """
    rows, outputs = problem.total, problem.T.shape[1]
    if problem.terms.known_dispersion:
        return 1.0 / rows
    freedom = max(rows * outputs - edof, 0.05 * rows * outputs)
    # more parameters than rows fit anything: that is no sign of data without noise
    least = _LEAST_OVERCOMPLETE if size >= rows * outputs else _LEAST
    return max(2.0 * value * rows / freedom, least) / rows
