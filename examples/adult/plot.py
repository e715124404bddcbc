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
INK, SOFT, FAINT = "#222222", "#666666", "#dddddd"
SMOOTHING = 0.97  # of the loss: how much of the moving average a step keeps


def draw(runs: Sequence[Run], file: Path) -> None:
    """Writes one PNG with three panels."""
    style = {
        "font.size": 14, "axes.edgecolor": FAINT, "axes.labelcolor": SOFT, "text.color": INK, "xtick.color": SOFT,
        "ytick.color": SOFT, "axes.grid": True, "grid.color": FAINT, "grid.linewidth": 0.6, "axes.axisbelow": True,
        "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 2.6, "axes.titlesize": 16,
        "axes.titlelocation": "left", "axes.titleweight": "bold", "axes.titlepad": 14, "legend.frameon": False,
    }  # fmt: skip
    with plt.rc_context(style):
        figure, axes = plt.subplots(1, 3, figsize=(16, 6.4), dpi=110)
        for panel, paint in zip(axes, (_loss, _auc, _calibration)):
            panel.set_box_aspect(0.92)
            paint(panel, runs)
        figure.text(0.04, 0.93, "Who earns more than 50 K a year?", fontsize=23, weight="bold")
        figure.text(
            0.04, 0.875, f"Three click models, Adult census data, {len(runs[0].labels):,} people to test on; "
            f"{sum(run.seconds for run in runs):.0f} seconds of training for all three", fontsize=15, color=SOFT,
        )  # fmt: skip
        figure.tight_layout(rect=(0.03, 0.0, 0.99, 0.86), w_pad=3)
        figure.savefig(file)
        plt.close(figure)


def _loss(panel: Axes, runs: Sequence[Run]) -> None:
    for run, color in zip(runs, COLORS):
        weights = SMOOTHING ** np.arange(len(run.losses))
        smooth = np.convolve(run.losses, weights)[: len(run.losses)] / np.cumsum(weights)
        epochs = np.arange(1, len(smooth) + 1) * len(run.aucs) / len(smooth)
        panel.plot(epochs, smooth, color=color, label=run.name)
    panel.set(title="Training loss", xlabel="Epoch (moving average)", xlim=(0, len(runs[0].aucs)))
    panel.legend()


def _auc(panel: Axes, runs: Sequence[Run]) -> None:
    for run, color in zip(runs, COLORS):
        epochs = np.arange(1, len(run.aucs) + 1)
        panel.plot(epochs, run.aucs, color=color, marker="o", markersize=6, label=f"{run.aucs[-1]:.4f}  {run.name}")
    panel.set(title="Test AUC", xlabel="After epoch", xticks=epochs)
    panel.legend(loc="lower right", title="At the end", alignment="left")


def _calibration(panel: Axes, runs: Sequence[Run]) -> None:
    panel.plot([0, 1], [0, 1], color=SOFT, linestyle=(0, (4, 3)), linewidth=1.4)
    for run, color in zip(runs, COLORS):
        tenths = np.minimum((run.predictions * 10).astype(int), 9)
        counts = np.maximum(np.bincount(tenths, minlength=10), 1)
        predicted = np.bincount(tenths, run.predictions, 10) / counts
        observed = np.bincount(tenths, run.labels, 10) / counts
        error = np.average(np.abs(predicted - observed), weights=counts)
        panel.plot(predicted, observed, color=color, marker="o", markersize=6, label=f"{error:.3f}  {run.name}")
    panel.set(title="Calibration", xlabel="Predicted probability", ylabel="Share that earns more", xlim=(0, 1),
              ylim=(0, 1))  # fmt: skip
    panel.legend(loc="upper left", title="Mean error", alignment="left")
