"""Units of an experiment, folded from exposures and outcomes of all metrics together."""

from __future__ import annotations

from numba import njit

NO_VARIANT, SEVERAL = -1, -2


@njit(cache=True, nogil=True)
def fold_exposed(
    starts, at, is_exposure, variant, outcomes, values, begins, ends, pre,
    exposed_at, variant_of, is_exposed, inside, before, pre_count, ever, value_inside, value_pre,
):  # fmt: skip  # pragma: no cover (compiled)
    """Per unit: its first exposure that names a variant (else its first), that variant, and per metric what it did.

    `outcomes`: a bit for each metric; `values`: one column per row and metric with a value; `begins`, `ends`: the
    metric's window after the exposure, both ends included; `pre`: the length before it, its own instant left out.
    """
    metrics, valued = len(begins), values.shape[1]
    for unit in range(len(starts) - 1):
        low, high = starts[unit], starts[unit + 1]
        variant_of[unit] = NO_VARIANT
        for i in range(low, high):
            if not is_exposure[i]:
                continue
            if not is_exposed[unit]:
                is_exposed[unit] = True
                exposed_at[unit] = at[i]
            if variant[i] >= 0:
                if variant_of[unit] == NO_VARIANT:
                    variant_of[unit] = variant[i]
                    exposed_at[unit] = at[i]
                elif variant_of[unit] != variant[i]:
                    variant_of[unit] = SEVERAL
        if not is_exposed[unit]:
            continue
        t0 = exposed_at[unit]
        for i in range(low, high):
            mask = outcomes[i]
            if not mask:
                continue
            for m in range(metrics):
                if not (mask >> m) & 1:
                    continue
                ever[unit, m] = True
                since = at[i] - t0
                if since < 0:
                    before[unit, m] += 1
                    if since >= -pre:
                        pre_count[unit, m] += 1
                        if m < valued:
                            value_pre[unit, m] += values[i, m]
                elif begins[m] <= since <= ends[m]:
                    inside[unit, m] += 1
                    if m < valued:
                        value_inside[unit, m] += values[i, m]
