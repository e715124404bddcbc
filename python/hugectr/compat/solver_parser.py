# SPDX-License-Identifier: Apache-2.0
"""Releases 2.3 and 3.0: the solver, whose learning rate and data set stand in a JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from hugectr import idle
from hugectr.arguments import FilePath, Record, Seed, converted
from hugectr.compat import training_json
from hugectr.enums import MetricsType
from hugectr.errors import InvalidArgumentError
from hugectr.solver import CreateSolver, Solver

if TYPE_CHECKING:
    from hugectr.model import Model

_SOLVER = (
    "seed", "max_eval_batches", "batchsize_eval", "batchsize", "vvgpu", "use_mixed_precision", "enable_tf32_compute",
    "scaler", "i64_input_key", "use_algorithm_search", "use_cuda_graph", "repeat_dataset",
)  # fmt: skip


class SolverParser(Record):
    """What :func:`solver_parser_helper` returns: its arguments as read-only attributes.

    Args:
        json_file: A training JSON, whose ``solver`` clause is read. Without it, the object is empty.
    """

    metrics_spec: dict[MetricsType, float] = {MetricsType.AUC: 1.0}

    @converted()
    def __init__(self, json_file: Optional[FilePath] = None) -> None:
        values = {} if json_file is None else _of_file(training_json.read(json_file).child("solver"))
        self.__dict__.pop("json_file", None)
        self.__dict__.update(values)

    def solver(self, **schedule: Any) -> Solver:
        """The same with a learning rate, for a Model."""
        if not self.values():
            raise InvalidArgumentError("the solver is empty; make it with solver_parser_helper()")
        values = {name: getattr(self, name) for name in _SOLVER}
        try:
            return CreateSolver(metrics_spec=self.metrics_spec, **values, **schedule)
        except InvalidArgumentError as error:
            text = str(error).replace("CreateSolver()", "solver_parser_helper()")
            raise InvalidArgumentError(text) from None

    def warn_about_idle(self, where: str, names: Sequence[str]) -> None:
        """Names those that were given and change nothing there."""
        idle.warn_changed("solver_parser_helper()", self, names, f"on {where}")

    def load_into(self, model: Model) -> None:
        """Loads the weights and optimizer states that it names."""
        for path, load in (
            (self.model_file, model.load_dense_weights),
            (self.dense_opt_states_file, model.load_dense_optimizer_states),
            (self.embedding_files, model.load_sparse_weights),
            (self.sparse_opt_states_files, model.load_sparse_optimizer_states),
        ):
            if path:
                load(path)


def _of_2_3(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Release 2.3 called max_eval_batches eval_batches, and had other defaults."""
    if "eval_batches" not in kwargs:
        return args, kwargs
    if "max_eval_batches" in kwargs or len(args) > 1:
        raise TypeError("solver_parser_helper() got 'max_eval_batches' twice, once as 'eval_batches'")
    defaults = {"batchsize": 16384, "batchsize_eval": 16384, "repeat_dataset": False}
    given = dict(kwargs)
    return args, {**defaults, "max_eval_batches": given.pop("eval_batches"), **given}


@converted(adapt=_of_2_3)
def solver_parser_helper(
    seed: Seed = 0,
    max_eval_batches: int = 100,
    batchsize_eval: int = 2048,
    batchsize: int = 2048,
    model_file: FilePath = "",
    dense_opt_states_file: FilePath = "",
    embedding_files: Union[FilePath, Sequence[FilePath]] = (),
    sparse_opt_states_file: Union[FilePath, Sequence[FilePath]] = (),
    vvgpu: Sequence[Sequence[int]] = ((0,),),
    use_mixed_precision: bool = False,
    enable_tf32_compute: bool = False,
    scaler: float = 1.0,
    i64_input_key: bool = False,
    use_algorithm_search: bool = True,
    use_cuda_graph: bool = True,
    repeat_dataset: bool = True,
    max_iter: int = 0,
    num_epochs: int = 0,
    display: int = 200,
    snapshot: int = 10000,
    eval_interval: int = 1000,
    use_model_oversubscriber: bool = False,
    temp_embedding_dir: FilePath = "./",
) -> SolverParser:
    """Describes a training run of a :class:`hugectr.Session`, or of the Model of release 3.0.

    Args:
        seed: As in :func:`hugectr.CreateSolver`, like the arguments that are not listed here.
        max_eval_batches: Batches of an evaluation. Release 2.3 called it ``eval_batches``; with that name the batch
            sizes are 16384 and `repeat_dataset` is False unless given.
        model_file: Dense weights to begin with.
        dense_opt_states_file: Their optimizer states.
        embedding_files: Sparse models to begin with, one for each embedding.
        sparse_opt_states_file: Their optimizer states.
        max_iter: Iterations of ``Model.fit()``; 10000 if not positive (iteration mode).
        num_epochs: Epochs of ``Model.fit()``; 1 if not positive (epoch mode).
        display, snapshot, eval_interval: Intervals of ``Model.fit()``.
        use_model_oversubscriber, temp_embedding_dir: The embedding training cache (not supported yet).

    Raises:
        TypeError: An argument is unknown or has the wrong type.
        InvalidArgumentError: A value is out of range, or two options exclude each other.
    """
    values = dict(locals())
    for name in ("embedding_files", "sparse_opt_states_file"):
        values[name] = [values[name]] if isinstance(values[name], str) else list(values[name])
    parser = SolverParser.of({**values, "eval_batches": max_eval_batches,
                              "sparse_opt_states_files": values["sparse_opt_states_file"]})  # fmt: skip
    parser.solver()  # checks
    return parser


def _mixed_precision(clause: training_json.Clause) -> dict[str, Any]:
    if not clause.has("mixed_precision"):
        return {}
    return {"use_mixed_precision": True, "scaler": clause.get("mixed_precision", float)}


def _metrics(clause: training_json.Clause) -> dict[MetricsType, float]:
    metrics = {}
    for entry in clause.get("eval_metrics", Sequence[str], ("AUC:1.0",)):
        name, _, threshold = entry.partition(":")
        if name not in MetricsType.__members__:
            raise InvalidArgumentError(
                f'{clause.name("eval_metrics")}: no metric "{name}"; known: {", ".join(MetricsType.__members__)}'
            )
        try:
            metrics[MetricsType[name]] = float(threshold or 1.0)
        except ValueError:
            raise InvalidArgumentError(f'{clause.name("eval_metrics")}: "{threshold}" is no number') from None
    return metrics


def _of_file(clause: training_json.Clause) -> dict[str, Any]:
    """The arguments that a ``solver`` clause stands for."""
    clause.choice("lr_policy", {"fixed": True}, "fixed")
    gpus = clause.get("gpu", Union[Sequence[int], Sequence[Sequence[int]]])
    batchsize = clause.get("batchsize", int)
    batchsize_eval = clause.get("batchsize_eval", int, batchsize)
    files = Union[FilePath, Sequence[FilePath]]
    eval_batches = clause.get("eval_batches", int, 100)
    if clause.has("max_eval_samples"):
        eval_batches = clause.get("max_eval_samples", int) // batchsize_eval
    parser = solver_parser_helper(
        seed=clause.get("seed", int, 0),
        max_eval_batches=clause.get("max_eval_batches", int, eval_batches),
        batchsize=batchsize,
        batchsize_eval=batchsize_eval,
        vvgpu=gpus if gpus and isinstance(gpus[0], list) else [gpus],
        model_file=clause.get("dense_model_file", FilePath, ""),
        dense_opt_states_file=clause.get("dense_opt_states_file", FilePath, ""),
        embedding_files=clause.get("sparse_model_file", files, ()),
        sparse_opt_states_file=clause.get("sparse_opt_states_file", files, ()),
        enable_tf32_compute=clause.get("enable_tf32_compute", bool, False),
        i64_input_key=clause.choice("input_key_type", {"I32": False, "I64": True}, "I32"),
        use_algorithm_search=clause.get("algorithm_search", bool, True),
        use_cuda_graph=clause.get("cuda_graph", bool, True),
        repeat_dataset=clause.has("max_iter"),
        **clause.given({"max_iter": int, "num_epochs": int, "display": int, "snapshot": int, "eval_interval": int}),
        **_mixed_precision(clause),
    )
    values = {**parser.values(), "metrics_spec": _metrics(clause)}
    clause.warn_about_others()
    return values
