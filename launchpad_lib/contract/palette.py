"""The colours of charts on a light ground, and by which name a page knows each, so that it can give it another one in
the dark.
"""

from __future__ import annotations

PALETTE: dict[str, str] = {
    "#1f5fa8": "mark",
    "#c2410c": "two",
    "#0f766e": "three",
    "#7d848e": "axis",
    "#b3261e": "bad",
    "#5c636d": "quiet",
}
"""Colour of a chart: the page's variable."""
