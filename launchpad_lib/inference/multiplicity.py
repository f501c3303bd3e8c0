"""Many tests at once: adjusted p-values that control how often a reader is misled. The arithmetic is statsmodels'."""

from __future__ import annotations

from collections.abc import Sequence

from statsmodels.stats.multitest import multipletests


def _adjusted(p_values: Sequence[float], method: str) -> list[float]:
    values = [float(p) for p in p_values]
    wrong = [p for p in values if not 0 <= p <= 1]
    if wrong:
        raise ValueError(
            f"p_values: {wrong[0]!r} is no probability; give numbers from 0 to 1 and leave missing ones out"
        )
    return multipletests(values, method=method)[1].tolist() if values else []


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given; rejecting those <= q keeps the expected share of false finds at q.

    p_adj(i) = min over j >= i of (m / j) p(j), p ascending. Holds for independent and positively dependent tests.
    Source: Benjamini and Hochberg (1995), Controlling the false discovery rate.

    >>> [round(p, 3) for p in benjamini_hochberg([0.01, 0.04, 0.03, 0.5])]
    [0.04, 0.053, 0.053, 0.5]
    """
    return _adjusted(p_values, "fdr_bh")


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given; rejecting those <= alpha keeps the chance of any false find at alpha.

    p_adj(i) = max over j <= i of (m - j + 1) p(j), p ascending. Holds whatever the dependence. Source: Holm (1979).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.5])]
    [0.04, 0.09, 0.09, 0.5]
    """
    return _adjusted(p_values, "holm")
