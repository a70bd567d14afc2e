"""What the lessons' closing cell draws: its source is copied into them, so that it stands in one place."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from course.checking import label


def show_comparison(comparison: list[tuple[Any, ...]], unit: str) -> pd.DataFrame:
    """Draw what each method reaches, this unit's in colour; return the table."""
    tasks = [
        (label("subtypes found\n(adjusted Rand index)", "找回亚型\n（调整兰德指数）"), 0, label("chance", "随机")),
        (
            label("disease predicted\n(AUC, unseen patients)", "预测疾病\n（未见患者的 AUC）"),
            0.5,
            label("chance", "随机"),
        ),
        (label("missing layer filled\n(mean correlation)", "补全缺失层\n（平均相关系数）"), 0, label("mean", "均值")),
    ]
    names, values = [row[1] for row in comparison], np.array([row[2:5] for row in comparison], dtype=float)
    ours = [row[0] == unit for row in comparison]
    _, axes = plt.subplots(1, 3, figsize=(10, 0.32 * len(names) + 1.3), sharey=True, layout="constrained")
    for axis, (task, floor, name), column in zip(axes, tasks, values.T, strict=True):
        axis.axvline(floor, color="0.5", linestyle=":")
        axis.text(floor, -0.75, name, ha="center", va="bottom", color="0.35", fontsize="small")
        for place, (value, own) in enumerate(zip(column, ours, strict=True)):
            look = {"color": "#D55E00", "marker": "D"} if own else {"color": "0.35", "marker": "o"}
            if np.isfinite(value):
                axis.plot([floor, value], [place, place], color=look["color"], linewidth=2.5 if own else 1)
                axis.plot(value, place, markersize=7, **look)
            else:
                axis.text(floor, place, " –", va="center", color="0.35")
        low, high = min(np.nanmin(column), floor), max(np.nanmax(column), floor + 0.1)
        axis.set_xlim(low - 0.08 * (high - low), high + 0.12 * (high - low))
        axis.set_xlabel(task)
    axes[0].set_yticks(range(len(names)), names)
    for text, own in zip(axes[0].get_yticklabels(), ours, strict=True):
        text.set(color="#D55E00" if own else "black", fontweight="bold" if own else "normal")
    axes[0].set_ylim(len(names) - 0.4, -0.8)
    plt.show()
    shown = [["–" if value is None else f"{value:.2f}" for value in row[2:5]] + [row[5]] for row in comparison]
    columns = [task.replace("\n", label(" ", "")) for task, _, _ in tasks]
    columns.append(label("seconds (order of magnitude)", "秒（数量级）"))
    index = pd.Index([f"▶ {name}" if own else name for name, own in zip(names, ours, strict=True)])
    return pd.DataFrame(shown, index=index, columns=columns)
