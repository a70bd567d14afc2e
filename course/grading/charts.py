"""Pictures of the report: small inline SVG that reads in print, without colour and without the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#c9d1d9"


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram: from where to where, and how many."""

    low: float
    high: float
    count: int


def histogram_bars(values: Sequence[float], maximum: float, bins: int = 10) -> list[Bar]:
    """How many scores fall into each of at most `bins` parts, whole points wide; full marks belong to the last.

    >>> [(bar.low, bar.high, bar.count) for bar in histogram_bars([0, 1, 5, 9, 9], 9, bins=2)]
    [(0, 5, 2), (5, 9, 3)]
    """
    width = max(1, math.ceil(maximum / bins))
    counts = [0] * max(1, math.ceil(maximum / width))
    for value in values:
        counts[min(len(counts) - 1, int(value / width))] += 1
    return [Bar(width * i, min(maximum, width * (i + 1)), count) for i, count in enumerate(counts)]


def histogram(
    values: Sequence[float], maximum: float, *, title: str, x_label: str, y_label: str, median_label: str
) -> Markup:
    """Distribution of scores; the median is a labelled line.

    Parameters
    ----------
    values : scores, at least one
    maximum : full marks
    title : what a reader who can't see the picture is told
    x_label, y_label, median_label : what the axes and the line are called
    """
    width, height, left, right, bottom, top = 640, 250, 46, 14, 44, 26
    plot_width, plot_height = width - left - right, height - bottom - top
    bars = histogram_bars(values, maximum)
    tallest = max(bar.count for bar in bars) or 1
    step = max(1, -(-tallest // 4))
    ceiling = step * -(-tallest // step)

    def x(value: float) -> float:
        return left + plot_width * value / maximum

    def y(count: float) -> float:
        return top + plot_height * (1 - count / ceiling)

    parts = [
        f'<line x1="{left}" x2="{width - right}" y1="{y(count):.1f}" y2="{y(count):.1f}" stroke="{GREY}"/>'
        f'<text x="{left - 8}" y="{y(count) + 4:.1f}" text-anchor="end">{count}</text>'
        for count in range(0, ceiling + 1, step)
    ]
    for bar in bars:
        if bar.count:
            tip = escape(f"{bar.low:g}–{bar.high:g}: {bar.count}")
            parts.append(
                f'<rect x="{x(bar.low) + 1.5:.1f}" y="{y(bar.count):.1f}" width="{x(bar.high) - x(bar.low) - 3:.1f}" '
                f'height="{y(0) - y(bar.count):.1f}" rx="2" fill="{BLUE}"><title>{tip}</title></rect>'
            )
    for place in [*(bar.low for bar in bars), maximum]:
        parts.append(f'<text x="{x(place):.1f}" y="{height - bottom + 18}" text-anchor="middle">{place:g}</text>')
    middle = median(values)
    anchor = "end" if middle > maximum / 2 else "start"
    shift = -6 if anchor == "end" else 6
    parts.append(
        f'<line x1="{x(middle):.1f}" x2="{x(middle):.1f}" y1="{top - 12}" y2="{y(0):.1f}" stroke="#1d2733" '
        f'stroke-width="1.6" stroke-dasharray="5 4"/>'
        f'<text x="{x(middle) + shift:.1f}" y="{top - 6}" text-anchor="{anchor}" font-weight="600">'
        f"{escape(median_label)} {middle:g}</text>"
    )
    parts.append(
        f'<text x="{left + plot_width / 2:.0f}" y="{height - 6}" text-anchor="middle" class="axis">'
        f"{escape(x_label)}</text>"
        f'<text x="13" y="{top + plot_height / 2:.0f}" text-anchor="middle" class="axis" '
        f'transform="rotate(-90 13 {top + plot_height / 2:.0f})">{escape(y_label)}</text>'
    )
    return Markup(f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>')


def median(values: Sequence[float]) -> float:
    """The middle score.

    >>> median([3, 1, 2]), median([1, 2])
    (2, 1.5)
    """
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def share_bar(shares: Sequence[tuple[float, str, str]], *, title: str) -> Markup:
    """One line split into shares: (share of 1, class of its colour, what it is)."""
    parts, start = [], 0.0
    for share, kind, what in shares:
        if share > 0:
            parts.append(
                f'<rect class="{escape(kind)}" x="{200 * start:.2f}" y="0" width="{200 * share:.2f}" height="12">'
                f"<title>{escape(what)}</title></rect>"
            )
        start += share
    return Markup(
        f'<svg class="share" viewBox="0 0 200 12" preserveAspectRatio="none" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )
