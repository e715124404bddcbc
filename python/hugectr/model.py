# SPDX-License-Identifier: Apache-2.0
"""The model: building, training, evaluation, saving and loading."""

from __future__ import annotations

import atexit
import functools
import importlib
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from hugectr import _core, idle, progress, spec
from hugectr.arguments import FilePath, converted
from hugectr.callbacks import History, Observer, require_callbacks
from hugectr.compat import forms
from hugectr.compat.solver_parser import SolverParser
from hugectr.data import DataSourceParams
from hugectr.enums import DataReaderType_t, Error_t, Tensor_t
from hugectr.errors import HugectrError, InvalidArgumentError, UnsupportedError
from hugectr.graph import Graph
from hugectr.layers import DenseLayer, GroupDenseLayer, Input, SparseEmbedding
from hugectr.loop import DataReader32, DataReader64, LearningRateScheduler
from hugectr.opt_params import OptParamsPy
from hugectr.reader import DataReaderParams
from hugectr.solver import Solver
from hugectr.training_cache import EmbeddingTrainingCacheParams

_ADDED = ("input", "sparse_embedding", "dense_layer", "group_dense_layer", "embedding_collection",
          "embedding_collection_place_holder")  # fmt: skip
_CACHE = ("mos", "mos_params", "etc_params")
_live: weakref.WeakSet[Model] = weakref.WeakSet()


@atexit.register
def _close_engines() -> None:
    """Ends what other threads do with models, and the models' own threads: none may outlive the interpreter."""
    _core.close_engines([model._engine for model in list(_live) if model._engine is not None])


def _arrow_opener(kind: DataReaderType_t) -> Optional[Callable[..., Any]]:
    """What opens Parquet files. Only they need pyarrow; it is imported on this thread, and not by the first thread that
    opens a file, because a process forked meanwhile could not import it any more."""
    if kind is not DataReaderType_t.Parquet:
        return None
    arrow = importlib.import_module("hugectr.arrow")
    importlib.import_module("hugectr.arrow_threads").require_arrow_threads("Parquet files")
    return lambda file, columns: arrow.open_stream(file, columns)


def _require_name(method: str, argument: str, path: str) -> None:
    """An empty path would stand for the working directory."""
    if not path:
        raise InvalidArgumentError(f"Model.{method}(): {argument} must not be empty")


def _address(path: str, *data_source_params: Optional[DataSourceParams]) -> str:
    """Where the first given parameters say that the path is."""
    given = next((params for params in data_source_params if params is not None), None)
    return given.address(path) if given else path


class Model:
    """A click-through-rate model: one Input, sparse embeddings, dense layers and a loss.

    Everything passed in is copied. Before :meth:`compile` the model is a graph that parts are added to; after it, it
    can be trained, evaluated, saved and loaded.

    Args:
        solver: What :func:`hugectr.CreateSolver` returned.
        reader_params: The data sets.
        opt_params: Optimizer of dense weights, and of embeddings without one of their own.
        etc: Embedding training cache (not supported yet); also spelled ``mos``, ``mos_params``, ``etc_params``.

    Raises:
        InvalidArgumentError: A source is missing, or a batch size is not divisible by the number of devices.
        UnsupportedError: Something is asked for that is not there yet.
        OutOfMemoryError: The limit on threads leaves Arrow none to read Parquet files.

    Example::

        model = hugectr.Model(solver, reader, optimizer)
        model.add(hugectr.Input(label_dim=1, label_name="label", dense_dim=13, dense_name="dense",
                                data_reader_sparse_param_array=[
                                    hugectr.DataReaderSparseParam("data1", 2, False, 26)]))
        model.add(hugectr.SparseEmbedding(...))
        model.add(hugectr.DenseLayer(...))
        model.compile()
        model.summary()
        model.fit(max_iter=2000, display=200, eval_interval=1000, snapshot=1000000)
    """

    @converted(aliases=dict.fromkeys(_CACHE, "etc"))
    def __init__(
        self,
        solver: Solver,
        reader_params: DataReaderParams,
        opt_params: OptParamsPy,
        etc: Optional[EmbeddingTrainingCacheParams] = None,
    ) -> None:
        if etc is not None:
            raise UnsupportedError("Model(): the embedding training cache is not supported yet")
        self._solver = solver
        self._graph = Graph(
            spec.solver_spec(solver), spec.reader_spec(reader_params, solver), spec.optimizer_spec(opt_params)
        )
        self._open_arrow = _arrow_opener(reader_params.data_reader_type)
        self._engine: Optional[_core.Engine] = None
        _live.add(self)

    if not TYPE_CHECKING:  # the stub has both forms

        @functools.wraps(__init__)
        def __new__(cls, *args: Any, **kwargs: Any) -> Model:
            if cls is Model and ("solver_parser" in kwargs or (args and isinstance(args[0], SolverParser))):
                return object.__new__(importlib.import_module("hugectr.compat.preview").PreviewModel)  # of release 3.0
            return object.__new__(cls)

    def __repr__(self) -> str:
        return f"Model({self._graph.describe()}{', compiled' if self._engine else ''})"

    # Building

    @converted(aliases=dict.fromkeys(_ADDED, "layer"))
    def add(self, layer: Union[Input, SparseEmbedding, DenseLayer, GroupDenseLayer]) -> None:
        """Adds the input, an embedding, a dense layer, a loss or a tower of dense layers.

        Args:
            layer: The part. The Input comes first; a layer's bottoms exist before it.

        Raises:
            HugectrError: The part does not fit: an unknown bottom, a top that exists already, a second Input. The
                model is left as it was.
        """
        if self._engine is not None:
            raise HugectrError("Model.add(): the model is compiled; parts are added before compile()")
        self._graph.add(layer)

    @converted()
    def compile(self, loss_names: Sequence[str] = (), loss_weights: Sequence[float] = ()) -> None:
        """Checks all shapes, allocates memory and initialises the weights.

        Args:
            loss_names: Labels whose losses get a weight (several labels).
            loss_weights: Factor of each of those losses; 1 where none is given.

        Raises:
            InvalidArgumentError: Shapes do not fit, a label is unknown or has no loss, or the graph has a loose end.
        """
        if self._engine is not None:
            raise HugectrError("Model.compile(): the model is compiled already")
        self._graph.check_complete("compile")
        self._graph.weigh_losses(loss_names, loss_weights)
        _core.log_plain(f"HugeCTR Version: {_core.version}")
        self._engine = _core.Engine(self._graph.text(), self._open_arrow)

    def summary(self) -> None:
        """Prints inputs, layers and their output shapes; before :meth:`compile`, shapes are not known yet."""
        self._graph.check_complete("summary")
        _core.log_plain(f"{'=' * 53}Model Summary{'=' * 53}")
        print(self._engine.summary() if self._engine else _core.graph_summary(self._graph.text()), flush=True)

    @converted()
    def graph_to_json(self, graph_config_file: FilePath) -> None:
        """Saves the graph: input, embeddings with their optimizers, and layers.

        Args:
            graph_config_file: JSON file to write.

        Raises:
            FileError: The file cannot be written.
        """
        self._graph.write(graph_config_file)

    @converted()
    def construct_from_json(self, graph_config_file: FilePath, include_dense_network: bool) -> None:
        """Takes the graph from a file, instead of the first calls of :meth:`add`.

        Args:
            graph_config_file: A file of :meth:`graph_to_json` or of an older release; keys that have no
                meaning get a warning.
            include_dense_network: Whether to take the dense layers too; otherwise only input and embeddings.

        Raises:
            FileError: The file cannot be read.
            InvalidArgumentError: It is not a graph file.
        """
        self._graph.read(graph_config_file, include_dense_network)

    # Training and evaluation

    @converted()
    def fit(
        self,
        num_epochs: int = 0,
        max_iter: int = 2000,
        display: int = 200,
        eval_interval: int = 1000,
        snapshot: int = 10000,
        snapshot_prefix: FilePath = "",
        data_source_params: Optional[DataSourceParams] = None,
        *,
        callbacks: Sequence[Any] = (),
    ) -> History:
        """Trains, evaluates and saves.

        With ``repeat_dataset=True`` it trains `max_iter` iterations, with False `num_epochs` epochs; the other number
        is ignored. Iterations, which are batches that were trained on, count from 0, and an action with interval N
        follows every iteration i > 0 that N divides: with ``max_iter=2000``, ``eval_interval=1000`` evaluates once, and
        no snapshot is written at the end. For evaluations and snapshots the end of an epoch counts as the next
        iteration. Each evaluation starts at the beginning of the evaluation data.
        It stops early once AUC reaches its value in ``metrics_spec``. A further call goes on with the same weights
        and learning-rate step. Ctrl-C stops after the current iteration and leaves the model usable.

        On a terminal one live line shows rate, loss and time left; ``HUGECTR_PROGRESS=0`` or ``1`` overrides that.

        Args:
            num_epochs: Epochs to train (epoch mode).
            max_iter: Iterations to train (iteration mode).
            display: Iterations between two reports of the loss; 0 switches them off.
            eval_interval: Iterations between two evaluations of ``max_eval_batches`` batches; 0 switches them off.
            snapshot: Iterations between two snapshots; 0 switches them off.
            snapshot_prefix: Start of the snapshots' file names, see :meth:`save_params_to_files`.
            data_source_params: File system of the paths, where it is not the solver's.
            callbacks: Told how it goes on, after those of :func:`hugectr.CreateSolver`; see
                :class:`hugectr.TrainingCallback`, :class:`hugectr.EarlyStopping`, :class:`hugectr.BestCheckpoint`.

        Returns:
            The history of losses and evaluations.

        Raises:
            HugectrError: The model is not compiled, or an embedding's workspace is full.
            TrainingDivergedError: The loss or a weight is not finite; no snapshot was written since.
            InvalidArgumentError: The number of iterations or epochs is not positive, an epoch has no full batch, or a
                label is none that the loss takes.
            FileError: Data is missing or damaged, or a snapshot cannot be written.
        """
        snapshot_prefix = _address(snapshot_prefix, data_source_params, self._solver.data_source_params)
        engine = self._compiled("fit")
        unused = {"num_epochs": num_epochs > 0} if self._solver.repeat_dataset else {"max_iter": max_iter != 2000}
        mode = "iteration mode (repeat_dataset=True)" if self._solver.repeat_dataset else "epoch mode"
        idle.warn("Model.fit()", [name for name, is_given in unused.items() if is_given], f"in {mode}")
        if snapshot <= 0 and snapshot_prefix:
            idle.warn("Model.fit()", ["snapshot_prefix"], f"with snapshot={snapshot}")
        require_callbacks("Model.fit(): callbacks", callbacks)
        told = [*self._solver.training_callbacks, *callbacks]
        observer = Observer(self, told, epoch_mode=not self._solver.repeat_dataset)
        arguments = (num_epochs, max_iter, display, eval_interval, snapshot, snapshot_prefix)
        with progress.line(self._solver.batchsize) as update:
            engine.fit(*arguments, update, observer, observer.each_iteration)
        return observer.history

    def start_data_reading(self) -> None:
        """Starts both readers on their configured sources; a loop of one's own in iteration mode begins with it."""
        self._compiled("start_data_reading").start_reading()

    @converted()
    def train(self, is_first_batch: bool = True) -> bool:
        """Trains on one batch.

        Args:
            is_first_batch: Of no effect.

        Returns:
            False when the data had ended and nothing was trained (epoch mode), else True; also for an incomplete
            batch that was dropped (``drop_incomplete_batch`` of :class:`hugectr.DataReaderParams`).

        Raises:
            HugectrError: Reading has not started.
            InvalidArgumentError: A label is none that the loss takes.
        """
        if not is_first_batch:
            idle.warn("Model.train()", ["is_first_batch"], "here: no batch is treated specially")
        return bool(self._compiled("train").train())

    @converted(aliases={"eval_batch": "is_first_batch"})
    def eval(self, is_first_batch: Union[bool, int] = True) -> bool:
        """Evaluates one batch; its results go into the next :meth:`get_eval_metrics`.

        Args:
            is_first_batch: Of no effect (``eval_batch`` in release 3.1).

        Returns:
            False when the data had ended and nothing was evaluated (epoch mode), else True.
        """
        if is_first_batch is not True:
            idle.warn("Model.eval()", ["is_first_batch"], "here: no batch is treated specially")
        return bool(self._compiled("eval").eval())

    @converted()
    def predict(
        self,
        data: Optional[Union[FilePath, dict[str, Any]]] = None,
        *,
        data_source_params: Optional[DataSourceParams] = None,
    ) -> Any:
        """Predictions for every sample of a data set or of arrays, in their order.

        It changes neither metrics nor the state of readers. Keys that training has not met count as vectors of zeros.

        Args:
            data: A data set in the format of the model's own, labels included, as ``source`` of
                :class:`hugectr.DataReaderParams`; or arrays by the names of the model's inputs: of the dense input
                numbers [samples, dense_dim], of a sparse input integer keys [samples, slots] or
                [samples, slots, keys of a slot], or a pair of keys and offsets, where slot s of sample i has the keys
                from offsets[i * slots + s] to offsets[i * slots + s + 1]. Keys are those of the data files: with
                Parquet and Raw data, ``slot_size_array`` is added here, too. Without `data`, the ``eval_source``.
            data_source_params: File system of the path, where it is not the solver's.

        Returns:
            A float32 array [samples, columns of the label's loss], probabilities; with several labels a dictionary
            with one for each.

        Raises:
            HugectrError: The model is not compiled.
            InvalidArgumentError: An input is missing or unknown, an array has the wrong shape or type, or a key or
                value is none that a reader would take.
            FileError: Data is missing or damaged.
        """
        engine = self._compiled("predict")
        if isinstance(data, str):
            _require_name("predict", "data", data)
            data = _address(data, data_source_params, self._solver.data_source_params)
        elif data_source_params is not None:
            raise InvalidArgumentError("Model.predict(): data_source_params says where a path is, and data is none")
        return importlib.import_module("hugectr.predictions").predict(engine, self._graph.inputs(), data)

    def get_current_loss(self) -> float:
        """Loss of the last batch that was trained on, penalties included; NaN before the first."""
        return float(self._compiled("get_current_loss").current_loss())

    def get_eval_metrics(self) -> list[tuple[str, float]]:
        """Metrics over the batches evaluated since the last call, AUC first: ``[("AUC", 0.79)]``."""
        return [(str(name), float(value)) for name, value in self._compiled("get_eval_metrics").eval_metrics()]

    @converted()
    def export_predictions(self, output_prediction_file_name: FilePath, output_label_file_name: FilePath) -> Error_t:
        """Appends predictions and labels of the last evaluated batch to two text files.

        Numbers of nine significant digits, each followed by a space, one sample after the other; ``numpy.loadtxt``
        reads them. A sample has the columns of all labels side by side, in the order of the labels, and in the file of
        predictions those of their losses.

        Args:
            output_prediction_file_name: File for the predictions.
            output_label_file_name: File for the labels.

        Returns:
            Error_t.Success, also when nothing was written, because the last :meth:`eval` found the end or because
            there was none yet; the log says which.

        Raises:
            FileError: A file cannot be written.
        """
        self._compiled("export_predictions").export_predictions(output_prediction_file_name, output_label_file_name)
        return Error_t.Success

    @converted()
    def check_out_tensor(self, tensor_name: str, tensor_type: Tensor_t) -> Any:
        """Values of a tensor (not supported yet)."""
        raise UnsupportedError("Model.check_out_tensor() is not supported yet")

    # Learning rate

    def get_learning_rate_scheduler(self) -> LearningRateScheduler:
        """The model's learning-rate schedule."""
        return LearningRateScheduler._of(lambda: self._compiled("get_learning_rate_scheduler"))

    @converted()
    def set_learning_rate(self, lr: float) -> Error_t:
        """Sets the rate of the next :meth:`train`."""
        engine = self._compiled("set_learning_rate")
        engine.set_learning_rate(_core.checked_nonnegative("Model.set_learning_rate(): lr", lr))
        return Error_t.Success

    @converted()
    def reset_learning_rate_scheduler(
        self,
        base_lr: float,
        warmup_steps: int = 1,
        decay_start: int = 0,
        decay_steps: int = 1,
        decay_power: float = 2.0,
        end_lr: float = 0.0,
    ) -> None:
        """Starts a new learning-rate schedule at step 0; the arguments are those of :func:`hugectr.CreateSolver`."""
        engine = self._compiled("reset_learning_rate_scheduler")
        engine.reset_schedule(base_lr, warmup_steps, decay_start, decay_steps, decay_power, end_lr)

    # Data

    @converted(adapt=forms.source_pair)
    def set_source(
        self,
        source: Union[FilePath, Sequence[FilePath]],
        keyset: Union[FilePath, Sequence[FilePath]] = (),
        *,
        eval_source: FilePath,
    ) -> None:
        """Sets other data sets; epoch mode only. The next :meth:`fit` reads them.

        Args:
            source: Training data, as in :class:`hugectr.DataReaderParams`.
            keyset: Key sets, for the embedding training cache (not supported yet).
            eval_source: Evaluation data. Without `keyset` it may also be the second argument.

        Raises:
            HugectrError: The model trains in iteration mode, or is not compiled.
        """
        sources = [source] if isinstance(source, str) else list(source)
        if keyset or len(sources) != 1:
            raise UnsupportedError(
                "Model.set_source(): several sources and key sets need the embedding training cache, "
                "which is not supported yet"
            )
        if self._solver.repeat_dataset:
            raise HugectrError("Model.set_source(): needs repeat_dataset=False")
        self._compiled("set_source").set_source(sources[0], eval_source)

    def get_data_reader_train(self) -> Union[DataReader32, DataReader64]:
        """The reader of training data."""
        return self._reader(is_training=True)

    def get_data_reader_eval(self) -> Union[DataReader32, DataReader64]:
        """The reader of evaluation data."""
        return self._reader(is_training=False)

    # Weights

    @converted()
    def save_params_to_files(self, prefix: FilePath, iter: int = 0) -> Error_t:
        """Saves weights and optimizer states.

        Writes ``<prefix>_dense_<iter>.model``, ``<prefix>_opt_dense_<iter>.model`` and for embedding i the directory
        ``<prefix><i>_sparse_<iter>.model`` and the file ``<prefix><i>_opt_sparse_<iter>.model``. A file is complete
        or not there at all.

        Args:
            prefix: Start of the file names, not empty; missing directories are created.
            iter: Number in the file names.

        Returns:
            Error_t.Success.

        Raises:
            InvalidArgumentError: The prefix is empty.
            FileError: A file cannot be written.
            TrainingDivergedError: The loss of a step, or a weight, was not finite; the files are as they were.
        """
        if iter < 0:
            raise InvalidArgumentError(f"Model.save_params_to_files(): iter must not be negative, got {iter}")
        _require_name("save_params_to_files", "prefix", prefix)
        self._compiled("save_params_to_files").save(_address(prefix, self._solver.data_source_params), iter)
        return Error_t.Success

    @converted()
    def load_dense_weights(
        self, dense_model_file: FilePath, data_source_params: Optional[DataSourceParams] = None
    ) -> None:
        """Loads the weights of the dense layers.

        Raises:
            FileError: The file is missing or belongs to another model.
        """
        _require_name("load_dense_weights", "dense_model_file", dense_model_file)
        path = _address(dense_model_file, data_source_params, self._solver.data_source_params)
        self._compiled("load_dense_weights").load_dense(path)

    @converted()
    def load_dense_optimizer_states(
        self, dense_opt_states_file: FilePath, data_source_params: Optional[DataSourceParams] = None
    ) -> None:
        """Loads the optimizer state of the dense layers.

        Raises:
            FileError: The file is missing or belongs to another model.
        """
        _require_name("load_dense_optimizer_states", "dense_opt_states_file", dense_opt_states_file)
        path = _address(dense_opt_states_file, data_source_params, self._solver.data_source_params)
        self._compiled("load_dense_optimizer_states").load_dense_optimizer(path)

    @converted(aliases={"sparse_embedding_files_map": "sparse_embedding_files"})
    def load_sparse_weights(
        self,
        sparse_embedding_files: Union[Sequence[FilePath], dict[str, FilePath]],
        data_source_params: Optional[DataSourceParams] = None,
    ) -> None:
        """Loads embedding tables.

        Args:
            sparse_embedding_files: One path per embedding in the order they were added, or a dictionary from
                embedding name to path for some of them (also spelled ``sparse_embedding_files_map``).
            data_source_params: File system of the paths, where it is not the solver's.

        Raises:
            InvalidArgumentError: The list has another length.
            NotFoundError: No embedding has that name.
            FileError: A file is missing or does not fit the embedding.
        """
        files = self._by_embedding(
            "load_sparse_weights", "sparse_embedding_files", sparse_embedding_files, data_source_params
        )
        self._compiled("load_sparse_weights").load_sparse(files)

    @converted(aliases={"sparse_opt_states_files_map": "sparse_opt_states_files"})
    def load_sparse_optimizer_states(
        self,
        sparse_opt_states_files: Union[Sequence[FilePath], dict[str, FilePath]],
        data_source_params: Optional[DataSourceParams] = None,
    ) -> None:
        """Loads optimizer states of embeddings; arguments and errors as in :meth:`load_sparse_weights`."""
        files = self._by_embedding(
            "load_sparse_optimizer_states", "sparse_opt_states_files", sparse_opt_states_files, data_source_params
        )
        self._compiled("load_sparse_optimizer_states").load_sparse_optimizer(files)

    @converted()
    def load_params_from_files(self, prefix: FilePath, iter: int = 0) -> None:
        """Loads what :meth:`save_params_to_files` saved: weights and optimizer states, with the same arguments.

        Raises:
            FileError: A file is missing or belongs to another model.
        """
        _require_name("load_params_from_files", "prefix", prefix)
        embeddings = range(len(self._graph.embedding_names()))
        self.load_dense_weights(f"{prefix}_dense_{iter}.model")
        self.load_sparse_weights([f"{prefix}{e}_sparse_{iter}.model" for e in embeddings])
        self.load_dense_optimizer_states(f"{prefix}_opt_dense_{iter}.model")
        self.load_sparse_optimizer_states([f"{prefix}{e}_opt_sparse_{iter}.model" for e in embeddings])

    def freeze_dense(self) -> None:
        """Stops training the dense layers."""
        self._compiled("freeze_dense").freeze_dense(True)

    def unfreeze_dense(self) -> None:
        """Trains the dense layers again."""
        self._compiled("unfreeze_dense").freeze_dense(False)

    @converted()
    def freeze_embedding(self, embedding_name: str = "") -> None:
        """Stops training one embedding, or all of them when no name is given."""
        self._compiled("freeze_embedding").freeze_embedding(embedding_name, True)

    @converted()
    def unfreeze_embedding(self, embedding_name: str = "") -> None:
        """Trains one embedding again, or all of them when no name is given."""
        self._compiled("unfreeze_embedding").freeze_embedding(embedding_name, False)

    # Embedding training cache

    def get_embedding_training_cache(self) -> Any:
        """The embedding training cache (not supported yet)."""
        raise UnsupportedError("Model: the embedding training cache is not supported yet")

    get_model_oversubscriber = get_embedding_training_cache
    get_incremental_model = get_embedding_training_cache
    dump_incremental_model_2kafka = get_embedding_training_cache

    def _compiled(self, method: str) -> _core.Engine:
        if self._engine is None:
            raise HugectrError(f"Model.{method}(): call compile() first")
        return self._engine

    def _reader(self, is_training: bool) -> Union[DataReader32, DataReader64]:
        kind = DataReader64 if self._solver.i64_input_key else DataReader32
        return kind(lambda: self._compiled("get_data_reader_train"), is_training)

    def _by_embedding(
        self,
        method: str,
        argument: str,
        files: Union[Sequence[str], dict[str, str]],
        params: Optional[DataSourceParams],
    ) -> dict[str, str]:
        for file in files.values() if isinstance(files, dict) else files:
            _require_name(method, argument, file)
        if not isinstance(files, dict):
            names = self._graph.embedding_names()
            if len(files) != len(names):
                raise InvalidArgumentError(f"Model.{method}(): {len(files)} files for {len(names)} embeddings")
            files = dict(zip(names, files))
        return {name: _address(path, params, self._solver.data_source_params) for name, path in files.items()}


ModelPerfExt = Model  # releases 3.3 to 3.8 had a second class for the DLRM benchmark
