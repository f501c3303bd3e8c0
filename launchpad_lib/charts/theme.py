"""How every chart looks, and what stands in the place of one that has nothing to draw."""

from __future__ import annotations

import textwrap
from typing import cast

import altair as alt
import pandas as pd

from launchpad_lib.contract.legible import shortened
from launchpad_lib.contract.palette import PALETTE

BLUE, ORANGE, GREEN, GREY, RED, INK = PALETTE  # what was measured, then second and third; reference; bad; text
SOLID = alt.Legend(symbolOpacity=1)
WIDTH, HEIGHT, ROW_HEIGHT = 640, 260, 22
MULTIPLE_HEIGHT = 90
TITLE_CELLS = 240  # letters of a title, of which some 80 stand in one line


def layered(*marks: alt.Chart) -> alt.LayerChart:
    """Marks upon each other, the first at the back."""
    return cast(alt.LayerChart, alt.layer(*marks))


def themed(drawing: alt.Chart | alt.LayerChart, title: str, *, note: str = "", height: int = HEIGHT) -> alt.LayerChart:
    """Transparent ground; the page recolours the text in dark mode, so that one picture reads on light and dark pages.

    Args:
        note: what the chart leaves out, in small letters under its title.
    """
    layers = drawing if isinstance(drawing, alt.LayerChart) else layered(drawing)
    # At once: Altair copies all of a chart for each of its configure_... methods.
    return layers.properties(
        title=_titled(title, note), width=WIDTH, height=height, background="transparent", config=_config()
    )


def themed_multiples(
    layers: alt.LayerChart, title: str, *, by: str, order: list[str], columns: int, note: str = ""
) -> alt.FacetChart:
    """One small chart for each value of a column, all on one scale, each with its own axes; `order` as they stand."""
    width = WIDTH // columns - 46
    head = alt.Header(labelColor=INK, labelFontSize=12, labelFontWeight=600, labelAnchor="start", title=None)
    cells = layers.properties(width=width, height=MULTIPLE_HEIGHT).facet(
        facet=alt.Facet(f"{by}:N", title=None, sort=order, header=head), columns=columns
    )
    cells = cells.resolve_axis(x="independent", y="independent").properties(
        title=_titled(title, note), background="transparent", config=_config()
    )
    return cast(alt.FacetChart, cells)


def _titled(title: str, note: str) -> str | alt.TitleParams:
    lines = textwrap.wrap(shortened(title, cells=TITLE_CELLS), 80) or [""]
    if len(lines) == 1 and not note:
        return lines[0]
    return alt.TitleParams(text=lines, subtitle=note) if note else alt.TitleParams(text=lines)


def _config() -> alt.Config:
    return alt.Config(
        view=alt.ViewConfig(strokeOpacity=0),
        axis=alt.AxisConfig(
            labelColor=INK,
            titleColor=INK,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            gridColor=GREY,
            gridOpacity=0.25,
            domainColor=GREY,
            tickColor=GREY,
            labelLimit=260,  # names are shortened to less, by character
            labelSeparation=8,
        ),
        axisX=alt.AxisConfig(grid=False, titleAnchor="end"),  # a long title stays inside a narrow picture
        axisY=alt.AxisConfig(ticks=False, domain=False),
        legend=alt.LegendConfig(
            labelColor=INK, titleColor=INK, labelFontSize=12, titleFontSize=12, orient="bottom", columns=4
        ),
        mark=alt.MarkConfig(tooltip=True),
        title=alt.TitleConfig(
            color=INK,
            fontSize=15,
            anchor="start",
            fontWeight=600,
            subtitleColor=INK,
            subtitleFontSize=12,
            offset=12,
        ),
    )


def nothing(title: str, why: str) -> alt.LayerChart:
    """A chart without marks: its title and the sentence that says why.

    Pages show the sentence as text (`usermeta.instead`).
    """
    sentence = shortened(why, cells=400)
    lines = textwrap.wrap(sentence, 90) or [""]
    text = (
        alt.Chart(pd.DataFrame({"why": [lines]}))
        .mark_text(align="left", color=INK, fontSize=13, tooltip=None, lineHeight=18)
        .encode(x=alt.value(0), y=alt.value(12), text="why:N")
    )
    return themed(text, title, height=18 * len(lines) + 12).properties(usermeta={"instead": sentence})


def height_of(rows: int) -> int:
    """The height of a chart with so many rows of bars or dots."""
    return max(3, rows) * ROW_HEIGHT


def dated(at: pd.Series) -> alt.X:
    """Days along the bottom, with their year where it could be another."""
    is_long = len(at) > 0 and at.max() - at.min() > pd.Timedelta(days=300)
    return alt.X(f"{at.name}:T", title="Date", axis=alt.Axis(format="%b %Y" if is_long else "%d %b"))
