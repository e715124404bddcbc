# SPDX-License-Identifier: Apache-2.0
"""The process that test_kill.py kills: it saves one snapshot over and over, every version with its own constant."""

from __future__ import annotations

import itertools
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from harness import training
from harness.reference_optimizers import Optimizer
from model.tiny import tiny

ROWS = 300


def tables(version: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {"embedding": (np.arange(ROWS), np.full((ROWS, 2), version))}


def save_for_ever(folder: Path, source: str, version: int, ready: Connection) -> None:
    declaration = tiny()
    model = training.create_model(declaration, Optimizer("Adam"), source, batch_size=4)
    for saved in itertools.count():
        version += 1
        training.load_weights(model, folder / "input", declaration, np.full(3, float(version)), tables(version))
        start = time.perf_counter()
        model.save_params_to_files(str(folder / "snapshot"))
        if saved == 1:
            ready.send(time.perf_counter() - start)
