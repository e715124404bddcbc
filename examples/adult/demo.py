# SPDX-License-Identifier: Apache-2.0
"""Who earns more than 50 K a year? Three click models on real census data, from CSV files to a picture.

python examples/adult/demo.py             # trains, compares, saves, loads again, draws output/adult.png
python examples/adult/demo.py --seeds 5   # mean test AUC over five seeds for each model
python examples/adult/demo.py --mixed-precision   # in 16 bits where the machine is faster with them
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("HUGECTR_LOG_LEVEL", "-1")  # only errors: this script prints its own lines
sys.path.insert(0, str(Path(__file__).parents[1]))

import hugectr
import numpy as np
import numpy.typing as npt
from adult.models import ADD_LAYERS, BATCH_SIZE, EPOCHS, build
from adult.prepare import prepare
from hugectr.tools import ParquetDataSet
from tqdm import tqdm

Floats = npt.NDArray[np.float64]


@dataclass
class Run:
    """One model's training, as it is compared and drawn."""

    name: str
    losses: list[float] = field(default_factory=list)  # of every training step
    aucs: list[float] = field(default_factory=list)  # on the test data, after every epoch
    log_loss: float = math.nan  # on the test data, at the end
    seconds: float = 0.0  # of training alone
    predictions: Floats = field(default_factory=lambda: np.empty(0))
    labels: Floats = field(default_factory=lambda: np.empty(0))
    parameters: int = 0

    @property
    def samples_per_second(self) -> float:
        return len(self.losses) * BATCH_SIZE / self.seconds


def evaluate(model: hugectr.Model) -> dict[str, float]:
    """Metrics of the whole test data, which is one evaluation batch."""
    model.get_data_reader_eval().set_source()
    model.eval()
    return dict(model.get_eval_metrics())


def train(model: hugectr.Model, data: ParquetDataSet, run: Run) -> None:
    """Trains epoch by epoch. On a terminal a live line shows rate, loss and time left; in a pipe one line follows."""
    schedule, reader = model.get_learning_rate_scheduler(), model.get_data_reader_train()
    total = EPOCHS * (data.num_rows // BATCH_SIZE)
    with tqdm(desc=f"{run.name:<11}", total=total * BATCH_SIZE, unit=" samples", unit_scale=True, disable=None) as bar:
        for _ in range(EPOCHS):
            start = time.perf_counter()
            reader.set_source(data.source)
            for loss in _steps(model, schedule):
                run.losses.append(loss)
                bar.update(BATCH_SIZE)
            run.seconds += time.perf_counter() - start
            metrics = evaluate(model)
            run.aucs.append(metrics["AUC"])
            run.log_loss = metrics["AverageLoss"]
            bar.set_postfix_str(f"loss {np.mean(run.losses[-50:]):.4f}, test AUC {run.aucs[-1]:.4f}")
    if bar.disable:
        print(f"{run.name:<11}  test AUC after each epoch: {' '.join(f'{auc:.4f}' for auc in run.aucs)}", flush=True)


def _steps(model: hugectr.Model, schedule: hugectr.LearningRateScheduler) -> Iterator[float]:
    while True:
        model.set_learning_rate(schedule.get_next())
        if not model.train():
            return
        yield model.get_current_loss()


def predict(model: hugectr.Model, folder: Path) -> tuple[Floats, Floats]:
    """Probabilities and labels of the test data."""
    files = [folder / "predictions.txt", folder / "labels.txt"]
    for file in files:
        file.unlink(missing_ok=True)
    evaluate(model)
    model.export_predictions(*map(str, files))
    predictions, labels = (np.loadtxt(file) for file in files)
    return predictions, labels


def train_one(name: str, data: tuple[ParquetDataSet, ParquetDataSet], output: Path, seed: int, **options: Any) -> Run:
    """Trains a model, saves it, loads it into a fresh one and makes sure that both predict the same."""
    run, prefix = Run(name), output / name.replace(" ", "").replace("&", "_and_").lower() / "model"
    model = build(name, *data, seed, **options)
    train(model, data[0], run)
    run.predictions, run.labels = predict(model, output)
    model.save_params_to_files(str(prefix), EPOCHS)

    fresh = build(name, *data, seed + 1, **options)
    dense = Path(f"{prefix}_dense_{EPOCHS}.model")
    sparse = sorted(prefix.parent.glob(f"{prefix.name}[0-9]*_sparse_{EPOCHS}.model"))
    sparse = [directory for directory in sparse if directory.is_dir()]
    fresh.load_dense_weights(str(dense))
    fresh.load_sparse_weights([str(directory) for directory in sparse])
    if not np.array_equal(predict(fresh, output)[0], run.predictions) or evaluate(fresh) != evaluate(model):
        sys.exit(f"{name}: the model loaded from {prefix}* predicts something else than the one that was saved")
    weights = [dense, *(directory / "emb_vector" for directory in sparse)]
    run.parameters = sum(file.stat().st_size for file in weights) // 4
    return run


def print_table(header: str, rows: list[tuple[str, ...]]) -> None:
    """Columns wide enough for their cells; the first is text, the others are numbers."""
    cells = [tuple(header.split("|")), *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    rule = "─" * (sum(widths) + 3 * (len(widths) - 1))
    print(rule)
    for i, (first, *others) in enumerate(cells):
        print("   ".join([first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:]))]))
        if i in (0, len(cells) - 1):
            print(rule)


def demo(data: tuple[ParquetDataSet, ParquetDataSet], output: Path, **options: Any) -> None:
    runs = [train_one(name, data, output, seed=1, **options) for name in ADD_LAYERS]
    print()
    print_table(
        "Model|Parameters|Test AUC|Log loss|Training|Samples/s",
        [
            (r.name, f"{r.parameters:,}", f"{r.aucs[-1]:.4f}", f"{r.log_loss:.4f}", f"{r.seconds:.1f} s",
             f"{r.samples_per_second:,.0f}")
            for r in runs
        ],
    )  # fmt: skip
    print("Each model was saved, loaded into a fresh one, and predicted the same.")
    try:
        from adult.plot import draw
    except ImportError:
        print('No picture: install matplotlib (pip install "hugectr[plot]")')
        return
    picture = output.with_suffix(".png")
    draw(runs, picture)
    print(f"Loss, AUC and calibration: {picture}")


def over_seeds(data: tuple[ParquetDataSet, ParquetDataSet], seeds: int, **options: Any) -> None:
    rows = []
    for name in ADD_LAYERS:
        aucs = []
        for seed in range(1, seeds + 1):
            run = Run(name)
            train(build(name, *data, seed, **options), data[0], run)
            aucs.append(run.aucs[-1])
        rows.append((name, f"{np.mean(aucs):.4f}", f"{np.std(aucs):.4f}", f"{min(aucs):.4f}", f"{max(aucs):.4f}"))
    print()
    print_table(f"Test AUC over {seeds} seeds|Mean|Deviation|Lowest|Highest", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=0, metavar="N", help="print the mean test AUC over N seeds")
    parser.add_argument("--mixed-precision", nargs="?", const="auto", choices=("auto", "fp16", "bf16"), metavar="TYPE",
                        help="16-bit activations, 32-bit weights; a type is taken even where it is slower")  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder for data, models and picture")
    arguments = parser.parse_args()
    output = arguments.output / "adult"
    start = time.perf_counter()
    data = prepare(output)
    print(f"Adult census income: {data[0].num_rows:,} people to train on, {data[1].num_rows:,} to test, "
          f"{data[0].dense_dim} numbers and {len(data[0].slot_size_array)} categories each "
          f"(prepared in {time.perf_counter() - start:.1f} s)")  # fmt: skip
    options: dict[str, Any] = {}
    if arguments.mixed_precision:
        options = {"use_mixed_precision": True, "scaler": 1024, "mixed_precision_type": arguments.mixed_precision}
    if arguments.seeds:
        over_seeds(data, arguments.seeds, **options)
    else:
        demo(data, output, **options)


if __name__ == "__main__":
    main()
