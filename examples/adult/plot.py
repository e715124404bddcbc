# SPDX-License-Identifier: Apache-2.0
"""The demo's picture: how three models learned, how well they rank, and whether their probabilities can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

if TYPE_CHECKING:
    from adult.demo import Run

COLORS = ["#0b6e99", "#d9730d", "#6b4fbb"]
INK, FAINT = "#2b2b2b", "#d8d8d8"
WINDOW = 25  # steps in the moving average of the loss


def draw(runs: Sequence[Run], file: Path) -> None:
    """Writes one PNG with three panels."""
    style = {
        "font.size": 13, "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK,
        "ytick.color": INK, "axes.grid": True, "grid.color": FAINT, "grid.linewidth": 0.6, "axes.axisbelow": True,
        "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 2.4,
    }  # fmt: skip
    with plt.rc_context(style):
        figure, axes = plt.subplots(1, 3, figsize=(16, 6), dpi=120)
        for panel, paint in zip(axes, (_loss, _auc, _calibration)):
            paint(panel, runs)
        figure.suptitle("Who earns more than 50 K a year?", x=0.045, y=0.97, ha="left", fontsize=21, weight="bold")
        rows = len(runs[0].labels)
        seconds = sum(run.seconds for run in runs)
        figure.text(
            0.045, 0.875, f"Three click models on the Adult census data, tested on {rows:,} people: "
            f"{seconds:.0f} seconds of training for all three", fontsize=14, color="#5a5a5a",
        )  # fmt: skip
        figure.tight_layout(rect=(0.03, 0.0, 0.99, 0.87), w_pad=3)
        figure.savefig(file)
        plt.close(figure)


def _loss(panel: Axes, runs: Sequence[Run]) -> None:
    for run, color in zip(runs, COLORS):
        smooth = np.convolve(run.losses, np.ones(WINDOW) / WINDOW, mode="valid")
        epochs = (np.arange(len(smooth)) + WINDOW) * len(run.aucs) / len(run.losses)
        panel.plot(epochs, smooth, color=color, label=run.name)
    panel.set(title="Training loss", xlabel="Epoch", xlim=(0, len(runs[0].aucs)))
    panel.legend(frameon=False)


def _auc(panel: Axes, runs: Sequence[Run]) -> None:
    for run, color in zip(runs, COLORS):
        epochs = np.arange(1, len(run.aucs) + 1)
        panel.plot(epochs, run.aucs, color=color, marker="o", markersize=5, label=f"{run.name}  {run.aucs[-1]:.4f}")
    panel.set(title="Test AUC after each epoch", xlabel="Epoch", xticks=epochs)
    panel.legend(frameon=False, loc="lower right", title="At the end", alignment="left")


def _calibration(panel: Axes, runs: Sequence[Run]) -> None:
    panel.plot([0, 1], [0, 1], color="#9a9a9a", linestyle=(0, (4, 3)), linewidth=1.4)
    panel.text(0.56, 0.5, "as often as predicted", color="#7a7a7a", fontsize=11, rotation=45, rotation_mode="anchor")
    for run, color in zip(runs, COLORS):
        tenths = np.minimum((run.predictions * 10).astype(int), 9)
        counts = np.bincount(tenths, minlength=10)
        predicted = np.bincount(tenths, run.predictions, 10) / counts
        observed = np.bincount(tenths, run.labels, 10) / counts
        panel.plot(predicted, observed, color=color, marker="o", markersize=5, label=run.name)
    panel.set(title="Calibration", xlabel="Predicted probability", ylabel="Share that earns more", aspect="equal",
              xlim=(0, 1), ylim=(0, 1))  # fmt: skip
