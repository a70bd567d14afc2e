"""Pictures of the report: small inline SVG that reads in print, without colour and without the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

BLUE, ORANGE, GREY, INK = "#0072B2", "#E69F00", "#c9d1d9", "#1d2733"


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


@dataclass(frozen=True)
class Dot:
    """One mark of a scatter plot: where, what it is, its number in the table, and whether it deserves a look."""

    x: float
    y: float
    tip: str
    label: str
    marked: bool = False


def scatter(dots: Sequence[Dot], *, title: str, x_label: str, y_label: str, low_y: float, line: str) -> Markup:
    """Difficulty (x, a share of 1) against discrimination (y, from -1 to 1).

    Parameters
    ----------
    dots : marked ones are drawn as diamonds with their label, the others as circles
    title : what a reader who can't see the picture is told
    low_y : where the line is that `line` names
    """
    width, height, left, right, bottom, top = 640, 300, 52, 24, 44, 14
    plot_width, plot_height = width - left - right, height - bottom - top
    floor = min(-0.25, math.floor(4 * (min((dot.y for dot in dots), default=0) - 0.06)) / 4)

    def x(value: float) -> float:
        return left + plot_width * value

    def y(value: float) -> float:
        return top + plot_height * (1 - (value - floor) / (1 - floor))

    parts = []
    for step in range(round(4 * floor), 5):
        place, strong = y(step / 4), step == 0
        parts.append(
            f'<line x1="{left}" x2="{width - right}" y1="{place:.1f}" y2="{place:.1f}" '
            f'stroke="{INK if strong else GREY}"/>'
            f'<text x="{left - 8}" y="{place + 4:.1f}" text-anchor="end">{step / 4:g}</text>'
        )
    parts += [
        f'<text x="{x(share / 100):.1f}" y="{height - bottom + 18}" text-anchor="middle">{share}%</text>'
        for share in range(0, 101, 20)
    ]
    parts.append(
        f'<line x1="{left}" x2="{width - right}" y1="{y(low_y):.1f}" y2="{y(low_y):.1f}" stroke="{INK}" '
        f'stroke-dasharray="4 4" stroke-width="1"/>'
        f'<text x="{left + 6}" y="{y(low_y) - 5:.1f}" class="axis">{escape(line)}</text>'
    )
    for dot in sorted(dots, key=lambda dot: dot.marked):
        parts.append(_mark(x(dot.x), y(dot.y), dot, to_the_left=dot.x > 0.85))
    parts.append(_axis_titles(left, top, plot_width, plot_height, height, x_label, y_label))
    return Markup(f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>')


def _mark(x: float, y: float, dot: Dot, *, to_the_left: bool) -> str:
    tip = f"<title>{escape(dot.tip)}</title>"
    if not dot.marked:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.2" fill="{BLUE}" fill-opacity="0.65">{tip}</circle>'
    corners = f"{x:.1f},{y - 7:.1f} {x + 7:.1f},{y:.1f} {x:.1f},{y + 7:.1f} {x - 7:.1f},{y:.1f}"
    return (
        f'<polygon points="{corners}" fill="{ORANGE}" stroke="{INK}">{tip}</polygon>'
        f'<text x="{x + (-10 if to_the_left else 10):.1f}" y="{y + 4:.1f}" '
        f'text-anchor="{"end" if to_the_left else "start"}" font-weight="600">{escape(dot.label)}</text>'
    )


def _axis_titles(
    left: float, top: float, plot_width: float, plot_height: float, height: float, x_label: str, y_label: str
) -> str:
    middle = top + plot_height / 2
    return (
        f'<text x="{left + plot_width / 2:.0f}" y="{height - 6}" text-anchor="middle" class="axis">'
        f"{escape(x_label)}</text>"
        f'<text x="13" y="{middle:.0f}" text-anchor="middle" class="axis" transform="rotate(-90 13 {middle:.0f})">'
        f"{escape(y_label)}</text>"
    )


@dataclass(frozen=True)
class Range:
    """One line of a plot of times: the fastest, the middle, what nine of ten stay below, and the slowest."""

    label: str
    low: float
    middle: float
    high: float
    longest: float


def time_ranges(ranges: Sequence[Range], *, title: str, x_label: str) -> Markup:
    """Seconds per exercise on a logarithmic axis: thin line from fastest to slowest, thick to the ninth of ten.

    Parameters
    ----------
    ranges : at least one
    title : what a reader who can't see the picture is told
    """
    row, left, right, top, bottom = 30, 190, 24, 8, 44
    width, height = 640, top + row * len(ranges) + bottom
    smallest = 10 ** math.floor(math.log10(max(0.001, min(item.low for item in ranges))))
    largest = 10 ** math.ceil(math.log10(max(10 * smallest, 1.0001 * max(item.longest for item in ranges))))
    decades = math.log10(largest / smallest)

    def x(seconds: float) -> float:
        return left + (width - left - right) * math.log10(max(seconds, smallest) / smallest) / decades

    parts = []
    for power in range(round(decades) + 1):
        seconds = smallest * 10**power
        parts.append(
            f'<line x1="{x(seconds):.1f}" x2="{x(seconds):.1f}" y1="{top}" y2="{height - bottom}" stroke="{GREY}"/>'
            f'<text x="{x(seconds):.1f}" y="{height - bottom + 18}" text-anchor="middle">{seconds:g}</text>'
        )
    for number, item in enumerate(ranges):
        y = top + row * (number + 0.5)
        tip = f"{item.label}: {seconds_text(item.middle)} / {seconds_text(item.high)} / {seconds_text(item.longest)}"
        parts.append(
            f'<text x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(_shortened(item.label))}</text>'
            f'<line x1="{x(item.low):.1f}" x2="{x(item.longest):.1f}" y1="{y}" y2="{y}" stroke="{INK}"/>'
            f'<rect x="{x(item.middle):.1f}" y="{y - 5}" width="{max(2.0, x(item.high) - x(item.middle)):.1f}" '
            f'height="10" fill="{BLUE}" fill-opacity="0.55"/>'
            f'<circle cx="{x(item.middle):.1f}" cy="{y}" r="5" fill="{BLUE}" stroke="#fff"><title>{escape(tip)}</title>'
            "</circle>"
        )
    parts.append(
        f'<text x="{(left + width - right) / 2:.0f}" y="{height - 6}" text-anchor="middle" class="axis">'
        f"{escape(x_label)}</text>"
    )
    return Markup(f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>')


def _shortened(label: str, letters: int = 26) -> str:
    return label if len(label) <= letters else f"{label[: letters - 1]}…"


def seconds_text(seconds: float) -> str:
    """A time as people read it.

    >>> seconds_text(0.034), seconds_text(2.31), seconds_text(64.2)
    ('0.03', '2.3', '64')
    """
    return f"{seconds:.2f}" if seconds < 1 else f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"


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
