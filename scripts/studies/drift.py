"""How often is an undrifted column called drifted, and how much better is a critical value than a fixed PSI limit? Prints a Markdown table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from launchpad_lib.trends import drift_table


def main(pairs: int = 1000) -> None:
    rng = np.random.default_rng(1)
    print(f"\n{pairs} pairs of samples without drift: a number and a category of three.\n")
    print(
        "| rows in each period | PSI > critical value | PSI > 0.1 | PSI > 0.2 | KS, p < 0.05 | chi-square, p < 0.05 |\n|---|---|---|---|---|---|"
    )
    for n in (100, 200, 500, 2000):
        rows = []
        for _ in range(pairs):
            old, new = (pd.DataFrame({"x": rng.normal(size=n), "k": rng.choice(list("abc"), n)}) for _ in range(2))
            found = drift_table(old, new, columns=["x", "k"]).set_index("column")
            x = found.loc["x"]
            rows.append(
                (
                    x["psi"] > x["psi_critical"],
                    x["psi"] > 0.1,
                    x["psi"] > 0.2,
                    x["p_value"] < 0.05,
                    found.loc["k", "p_value"] < 0.05,
                )
            )
        print(f"| {n} | " + " | ".join(f"{100 * v:.1f} %" for v in np.mean(rows, axis=0)) + " |")


if __name__ == "__main__":
    main()
