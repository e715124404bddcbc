# SPDX-License-Identifier: Apache-2.0
"""The solver: batch sizes, learning rate, devices and metrics of a training run."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Optional

from hugectr import _core, idle
from hugectr.arguments import Record, Seed, converted
from hugectr.callbacks import require_callbacks
from hugectr.compat import forms
from hugectr.data import DataSourceParams
from hugectr.enums import AllReduceAlgo, DeviceLayout, LrPolicy_t, MetricsType
from hugectr.errors import InvalidArgumentError

# Options that tune one kind of machine and never change what is computed.
TUNING_OPTIONS = (
    "enable_tf32_compute",
    "use_algorithm_search",
    "use_cuda_graph",
    "async_mlp_wgrad",
    "gen_loss_summary",
    "overlap_lr",
    "overlap_init_wgrad",
    "overlap_ar_a2a",
    "eval_overlap",
    "device_layout",
    "use_holistic_cuda_graph",
    "use_overlapped_pipeline",
    "all_reduce_algo",
    "grouped_all_reduce",
    "num_iterations_statistics",
    "perf_logging",
    "train_intra_iteration_overlap",
    "train_inter_iteration_overlap",
    "eval_intra_iteration_overlap",
    "eval_inter_iteration_overlap",
)
# Those that need is_dlrm.
DLRM_OPTIONS = ("use_holistic_cuda_graph", "use_overlapped_pipeline", "grouped_all_reduce")
# Those that the CUDA back end heeds.
GPU_OPTIONS = ("enable_tf32_compute", "use_cuda_graph")


class Solver(Record):
    """What :func:`CreateSolver` returns: its arguments as read-only attributes."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InvalidArgumentError(f"CreateSolver(): {message}")


def _check(solver: Solver) -> None:
    mixed, tf32 = solver.use_mixed_precision, solver.enable_tf32_compute
    _require(not (mixed and tf32), "use_mixed_precision and enable_tf32_compute exclude each other")
    _require(
        not mixed or solver.scaler in (128, 256, 512, 1024),
        f"with use_mixed_precision, scaler must be 128, 256, 512 or 1024, got {solver.scaler:.9g} (on a CPU it has to "
        "be given too, and changes nothing)",
    )
    _require(
        solver.mixed_precision_type in ("auto", "fp16", "bf16"),
        f'mixed_precision_type must be "auto", "fp16" or "bf16", got "{solver.mixed_precision_type}"',
    )
    _require(bool(solver.gauc_input) or MetricsType.GAUC not in solver.metrics_spec, "GAUC needs a gauc_input")
    _require(solver.gauc_slot >= 0, f"gauc_slot must not be negative, got {solver.gauc_slot}")
    for option in DLRM_OPTIONS:
        _require(solver.is_dlrm or not getattr(solver, option), f"{option} needs is_dlrm=True")
    _require(
        not (solver.use_holistic_cuda_graph and solver.use_cuda_graph),
        "use_holistic_cuda_graph needs use_cuda_graph=False",
    )
    for name in ("batchsize", "batchsize_eval", "warmup_steps", "decay_steps"):
        _require(getattr(solver, name) >= 1, f"{name} must be at least 1, got {getattr(solver, name)}")
    for name in ("batchsize", "batchsize_eval"):
        _require(getattr(solver, name) < 2**31, f"{name} must be below 2**31, got {getattr(solver, name)}")
    for name in ("seed", "lr", "end_lr", "decay_start", "max_eval_batches"):
        _require(getattr(solver, name) >= 0, f"{name} must not be negative, got {getattr(solver, name)}")
    require_callbacks("CreateSolver(): training_callbacks", solver.training_callbacks)
    _require(solver.decay_power >= 1, f"decay_power must be at least 1, got {solver.decay_power:.9g}")
    _require(bool(solver.vvgpu) and all(solver.vvgpu), f"vvgpu needs a device in every row, got {solver.vvgpu}")
    for row in solver.vvgpu:
        _require(min(row) >= 0 and max(row) < 2**31, f"vvgpu has a device that cannot be (0 to {2**31 - 1}): {row}")
        _require(len(set(row)) == len(row), f"vvgpu names a device twice in one row: {row}")


def _warn_about_idle(solver: Solver) -> None:
    where = "CreateSolver()"
    if solver.kafka_brockers:
        idle.warn(where, ["kafka_brockers"], "yet: incremental models are not supported")
    if solver.is_dlrm and not any(getattr(solver, option) for option in DLRM_OPTIONS):
        idle.warn(where, ["is_dlrm"], f"without {', '.join(DLRM_OPTIONS[:-1])} or {DLRM_OPTIONS[-1]}")
    if not solver.use_mixed_precision:
        given = {"scaler": solver.scaler != 1, "mixed_precision_type": solver.mixed_precision_type != "auto"}
        idle.warn(where, [name for name, is_given in given.items() if is_given], "without use_mixed_precision=True")
    if MetricsType.GAUC not in solver.metrics_spec:
        given = {"gauc_input": bool(solver.gauc_input), "gauc_slot": solver.gauc_slot != 0}
        idle.warn(where, [name for name, is_given in given.items() if is_given], "without GAUC in metrics_spec")
    if solver.decay_start == 0:
        given = {
            "decay_steps": solver.decay_steps != 1,
            "decay_power": solver.decay_power != 2,
            "end_lr": solver.end_lr > 0,
        }
        idle.warn(where, [name for name, is_given in given.items() if is_given], "without a decay_start")
    parameters = inspect.signature(CreateSolver).parameters
    heeded = GPU_OPTIONS if _core.default_device() == "cuda" else ()
    tuning = [name for name in TUNING_OPTIONS if name not in heeded]
    idle.warn(where, [name for name in tuning if getattr(solver, name) != parameters[name].default], "on this back end")


@converted(aliases={"kafka_brokers": "kafka_brockers"}, adapt=forms.seed_first)
def CreateSolver(
    model_name: str = "",
    seed: Seed = 0,
    lr_policy: LrPolicy_t = LrPolicy_t.fixed,
    lr: float = 0.001,
    warmup_steps: int = 1,
    decay_start: int = 0,
    decay_steps: int = 1,
    decay_power: float = 2.0,
    end_lr: float = 0.0,
    max_eval_batches: int = 100,
    batchsize_eval: int = 2048,
    batchsize: int = 2048,
    vvgpu: Sequence[Sequence[int]] = ((0,),),
    repeat_dataset: bool = True,
    use_mixed_precision: bool = False,
    enable_tf32_compute: bool = False,
    scaler: float = 1.0,
    metrics_spec: dict[MetricsType, float] = {MetricsType.AUC: 1.0},  # noqa: B006 (never modified)
    i64_input_key: bool = False,
    use_algorithm_search: bool = True,
    use_cuda_graph: bool = True,
    async_mlp_wgrad: bool = False,
    gen_loss_summary: bool = True,
    overlap_lr: bool = False,
    overlap_init_wgrad: bool = False,
    overlap_ar_a2a: bool = False,
    eval_overlap: bool = False,
    device_layout: DeviceLayout = DeviceLayout.LocalFirst,
    use_holistic_cuda_graph: bool = False,
    use_overlapped_pipeline: bool = False,
    use_embedding_collection: bool = False,
    all_reduce_algo: AllReduceAlgo = AllReduceAlgo.NCCL,
    grouped_all_reduce: bool = False,
    num_iterations_statistics: int = 20,
    is_dlrm: bool = False,
    kafka_brockers: str = "",
    data_source_params: Optional[DataSourceParams] = None,
    *,
    perf_logging: bool = False,
    drop_incomplete_batch: Optional[bool] = None,
    train_intra_iteration_overlap: bool = False,
    train_inter_iteration_overlap: bool = False,
    eval_intra_iteration_overlap: bool = False,
    eval_inter_iteration_overlap: bool = False,
    training_callbacks: Sequence[Any] = (),
    mixed_precision_type: str = "auto",
    gauc_input: str = "",
    gauc_slot: int = 0,
) -> Solver:
    """Describes a training run.

    Args:
        model_name: Name of the model, written to its graph file.
        seed: Seed of initial weights, dropout and shuffling; 0 draws one and logs it. The same seed gives the same
            bits.
        lr_policy: Only ``LrPolicy_t.fixed``; warm-up and decay are the arguments below.
        lr: Learning rate.
        warmup_steps: Steps over which the rate rises linearly to ``lr``.
        decay_start: Step at which the decay starts; 0 means no decay.
        decay_steps: Length of the decay in steps.
        decay_power: Exponent of the polynomial decay.
        end_lr: Smallest rate, held after the decay.
        max_eval_batches: Batches in one evaluation; 0 in epoch mode means all.
        batchsize_eval: Samples in an evaluation batch, over all devices.
        batchsize: Samples in a training batch, over all devices.
        vvgpu: Devices of each node, for example ``[[0, 1]]``. Each device is one rank; on a machine without GPUs
            it is a group of CPU threads. Both batch sizes must be divisible by the number of devices.
        repeat_dataset: True trains ``max_iter`` iterations over a data set that starts again at its end; False
            trains whole epochs.
        use_mixed_precision: 16-bit activations with 32-bit weights: fp16 on a GPU, bf16 on a CPU that is measured to
            be faster with it.
        enable_tf32_compute: TF32 matrix products where the device has them.
        scaler: Loss scale of mixed precision, which needs one: 128, 256, 512 or 1024. On a CPU it changes nothing.
        metrics_spec: Evaluation metrics. ``fit`` stops once AUC reaches its value, if that is below 1; the other
            values have no meaning.
        i64_input_key: Keys are 64-bit integers; otherwise unsigned 32-bit.
        use_algorithm_search, use_cuda_graph, async_mlp_wgrad, gen_loss_summary, overlap_lr, overlap_init_wgrad,
        overlap_ar_a2a, eval_overlap, device_layout, use_holistic_cuda_graph, use_overlapped_pipeline,
        all_reduce_algo, grouped_all_reduce, num_iterations_statistics, perf_logging, train_intra_iteration_overlap,
        train_inter_iteration_overlap, eval_intra_iteration_overlap, eval_inter_iteration_overlap:
            Tuning of GPU machines. Accepted everywhere; results never depend on them.
        use_embedding_collection: Not supported yet.
        is_dlrm: Allows the options that are restricted to the DLRM benchmark; of no effect by itself.
        kafka_brockers: Message queue for incremental models (also spelled ``kafka_brokers``).
        data_source_params: File system of the paths of data and models.
        drop_incomplete_batch: The same as in :class:`hugectr.DataReaderParams`, where releases from 3.8 have it.
        training_callbacks: Objects of :class:`hugectr.TrainingCallback`, told by every :meth:`hugectr.Model.fit`.
        mixed_precision_type: The 16-bit format: "fp16" (GPUs only), "bf16" (on a CPU, even where it is slower), or
            "auto": the device's usual one, on a CPU where it is faster.
        gauc_input, gauc_slot: The sparse input, and the slot of it, whose key groups the samples for the metric GAUC
            (users, say). Samples without a key there do not count.

    Returns:
        Solver: the arguments as read-only attributes.

    Raises:
        TypeError: An argument is unknown or has the wrong type.
        InvalidArgumentError: A value is out of range, or two options exclude each other.
    """
    solver = Solver.of(locals())
    _check(solver)
    _warn_about_idle(solver)
    return solver
