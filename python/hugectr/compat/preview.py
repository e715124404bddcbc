# SPDX-License-Identifier: Apache-2.0
"""Release 3.0: the first interface without JSON. The data set is part of the Input, the intervals of ``fit`` are part
of the solver, and the learning rate is part of the optimizer, which ``hugectr.optimizer.CreateOptimizer`` makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hugectr import idle
from hugectr.arguments import REQUIRED, FilePath, Record, converted
from hugectr.callbacks import History
from hugectr.compat.solver_parser import SolverParser
from hugectr.enums import Check_t, DataReaderType_t, Optimizer_t, Update_t
from hugectr.errors import HugectrError, UnsupportedError
from hugectr.graph import Layer
from hugectr.layers import Input
from hugectr.model import Model
from hugectr.opt_params import CreateOptimizer as create_optimizer
from hugectr.reader import DataReaderParams, DataReaderSparseParam

_CACHE = ("temp_embedding_dir",)
_SCHEDULE = ("warmup_steps", "decay_start", "decay_steps", "decay_power", "end_lr")


class OptParamsBase(Record):
    """What ``hugectr.optimizer.CreateOptimizer`` returns: an optimizer with its learning-rate schedule."""


@converted()
def CreateOptimizer(
    optimizer_type: Optimizer_t = Optimizer_t.Adam,
    update_type: Update_t = Update_t.Global,
    learning_rate: float = 0.001,
    warmup_steps: int = 1,
    decay_start: int = 0,
    decay_steps: int = 1,
    decay_power: float = 2.0,
    end_lr: float = 0.0,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-7,
    momentum_factor: float = 0.0,
    atomic_update: bool = True,
    use_mixed_precision: bool = REQUIRED,
) -> OptParamsBase:
    """Describes an optimizer in the way of release 3.0.

    Args:
        optimizer_type, update_type, beta1, beta2, epsilon, momentum_factor, atomic_update: As in
            :func:`hugectr.CreateOptimizer`.
        learning_rate, warmup_steps, decay_start, decay_steps, decay_power, end_lr: As in
            :func:`hugectr.CreateSolver`, where later releases have them.
        use_mixed_precision: What the solver says; another value has no effect.

    Raises:
        TypeError: An argument is unknown or has the wrong type.
        InvalidArgumentError: A value is out of range.
    """
    params = create_optimizer(
        optimizer_type=optimizer_type,
        update_type=update_type,
        beta1=beta1,
        beta2=beta2,
        epsilon=epsilon,
        momentum_factor=momentum_factor,
        atomic_update=atomic_update,
    )
    schedule = {name: value for name, value in locals().items() if name in _SCHEDULE}
    return OptParamsBase.of(
        {
            "params": params,
            "schedule": {"lr": learning_rate, **schedule},
            "use_mixed_precision": use_mixed_precision,
        }
    )


@converted()
def _input(
    data_reader_type: DataReaderType_t,
    source: FilePath,
    eval_source: FilePath,
    check_type: Check_t,
    cache_eval_data: int = 0,
    label_dim: int = REQUIRED,
    label_name: str = REQUIRED,
    dense_dim: int = REQUIRED,
    dense_name: str = REQUIRED,
    num_samples: int = 0,
    eval_num_samples: int = 0,
    float_label_dense: bool = True,
    num_workers: int = 12,
    slot_size_array: Sequence[int] = (),
    data_reader_sparse_param_array: Sequence[DataReaderSparseParam] = REQUIRED,
    sparse_names: Sequence[str] = REQUIRED,
) -> dict[str, Any]:
    is_raw = data_reader_type is DataReaderType_t.Raw
    reader = DataReaderParams(
        data_reader_type=data_reader_type,
        source=source,
        eval_source=eval_source,
        check_type=check_type,
        cache_eval_data=cache_eval_data,
        num_samples=num_samples,
        eval_num_samples=eval_num_samples,
        float_label_dense=float_label_dense and is_raw,
        num_workers=num_workers,
        slot_size_array=slot_size_array,
    )
    return {
        "label_dim": label_dim,
        "label_name": label_name,
        "dense_dim": dense_dim,
        "dense_name": dense_name,
        "data_reader_sparse_param_array": data_reader_sparse_param_array,
        "sparse_names": sparse_names,
        "reader_params": reader,
    }


def input_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Today's keywords of Input for those of release 3.0."""
    return _input(*args, **kwargs)


class PreviewModel(Model):
    """What ``hugectr.Model(solver_parser, opt_params)`` makes.

    Args:
        solver_parser: What :func:`hugectr.solver_parser_helper` returned.
        opt_params: What ``hugectr.optimizer.CreateOptimizer`` returned.
    """

    @converted()
    def __init__(self, solver_parser: SolverParser, opt_params: OptParamsBase) -> None:
        if solver_parser.use_model_oversubscriber:
            raise UnsupportedError("Model(): the model oversubscriber (embedding training cache) is not supported yet")
        if opt_params.use_mixed_precision != solver_parser.use_mixed_precision:
            idle.warn("CreateOptimizer()", ["use_mixed_precision"], "beside another one of solver_parser_helper()")
        solver_parser.warn_about_idle("Model()", _CACHE)
        self._parser, self._opt_params = solver_parser, opt_params
        self._engine = None
        self._begun = False

    def __repr__(self) -> str:
        return super().__repr__() if self._begun else "Model(no parts yet)"

    def add(self, layer: Layer) -> None:
        """Adds the input with its data set, an embedding, a dense layer or a loss."""
        if not self._begun:
            if not isinstance(layer, Input) or layer.reader_params is None:
                raise HugectrError("Model.add(): the first part of a model is its Input, which says what data it reads")
            solver = self._parser.solver(**self._opt_params.schedule)
            super().__init__(solver, layer.reader_params, self._opt_params.params)
            self._begun = True
            layer = Input.of({**layer.values(), "reader_params": None})
        super().add(layer)

    def fit(self) -> History:  # type: ignore[override]
        """Trains, evaluates and saves as the solver says: ``max_iter`` iterations or ``num_epochs`` epochs."""
        parser = self._parser
        if parser.repeat_dataset:
            length: dict[str, Any] = {"max_iter": parser.max_iter if parser.max_iter > 0 else 10000}
        else:
            length = {"num_epochs": max(parser.num_epochs, 1)}
        return super().fit(
            **length, display=parser.display, eval_interval=parser.eval_interval, snapshot=parser.snapshot
        )

    def compile(self) -> None:  # type: ignore[override]
        """Checks all shapes, allocates memory, initialises the weights and loads what the solver names."""
        if not self._begun:
            raise HugectrError("Model.compile(): the model needs an Input and at least two layers")
        super().compile()
        self._parser.load_into(self)
