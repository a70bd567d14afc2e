"""The house style of plots: colours that colour-blind readers can tell apart, and Chinese letters without set-up."""

from __future__ import annotations

from functools import cache
from pathlib import Path

FONT = Path(__file__).parent / "fonts" / "MultiomicsSansSC-Regular.otf"
FONT_FAMILY = "Multiomics Sans SC"

# Okabe & Ito, Color Universal Design (2008); yellow last, as it is faint on white.
PALETTE = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "black": "#000000",
    "yellow": "#F0E442",
}


def use_house_style(language: str) -> None:
    """Set matplotlib's defaults for this session; in Chinese also its font."""
    import matplotlib
    from cycler import cycler

    matplotlib.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=list(PALETTE.values())),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.dpi": 110,
            "image.cmap": "viridis",
        }
    )
    if language == "zh":
        letter_in_chinese()


def letter_in_chinese() -> None:
    """Make matplotlib draw Chinese: the shipped font first, so that formulas with Chinese words work too."""
    import matplotlib

    _register_font()
    families = [family for family in matplotlib.rcParams["font.family"] if family != FONT_FAMILY]
    matplotlib.rcParams["font.family"] = [FONT_FAMILY, *families]


@cache
def _register_font() -> None:
    from dataclasses import replace

    from matplotlib import font_manager

    manager = font_manager.fontManager
    manager.addfont(FONT)
    regular = next(entry for entry in manager.ttflist if entry.name == FONT_FAMILY)
    manager.ttflist.append(replace(regular, weight=700))  # bold text takes the regular cut without a warning
