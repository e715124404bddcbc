# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the native engine that records what it is asked for."""

import json
from typing import Any


class FakeEngine:
    """Answers every method; `calls` lists (method, *arguments), `spec` is the document it was made from."""

    ANSWERS = {
        "summary": "a table",
        "train": True,
        "eval": False,
        "current_loss": 0.5,
        "eval_metrics": [("AUC", 0.75), ("AverageLoss", 0.25)],
        "next_learning_rate": 0.125,
        "reader_at_end": True,
        "reader_started": False,
    }

    def __init__(self, spec: str, open_arrow: Any) -> None:
        self.spec = json.loads(spec)
        self.open_arrow = open_arrow
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def record(*args: Any) -> Any:
            self.calls.append((name, *args))
            return self.ANSWERS.get(name)

        return record
