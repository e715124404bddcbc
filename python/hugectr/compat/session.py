# SPDX-License-Identifier: Apache-2.0
"""Releases 2.3 and 3.0: a Session trains what a JSON file describes, driven by a loop of the user's own."""

from __future__ import annotations

from typing import Any, Union

from hugectr import files
from hugectr.arguments import FilePath, converted
from hugectr.compat import training_json
from hugectr.compat.solver_parser import SolverParser
from hugectr.enums import Error_t
from hugectr.errors import HugectrError, InvalidArgumentError, UnsupportedError
from hugectr.loop import DataReader32, DataReader64, LearningRateScheduler
from hugectr.model import Model

_OF_FIT = ("max_iter", "num_epochs", "display", "snapshot", "eval_interval", "use_model_oversubscriber",
           "temp_embedding_dir")  # fmt: skip


@converted()
def get_learning_rate_scheduler(configure_file: FilePath) -> LearningRateScheduler:
    """The learning-rate schedule that the ``optimizer`` clause of a training JSON describes.

    Raises:
        FileError: The file cannot be read.
        InvalidArgumentError: It has no such clause, or a value is out of range.
    """
    values = training_json.schedule(training_json.read(configure_file))
    return LearningRateScheduler(values.pop("lr"), **values)


class Session:
    """Trains the model of a JSON file; a loop of one's own calls :meth:`train`.

    Args:
        solver_config: What :func:`hugectr.solver_parser_helper` returned.
        config_file: Training JSON with the clauses ``optimizer`` and ``layers``; others have no effect.
        use_model_oversubscriber: The embedding training cache (not supported yet).
        temp_embedding_dir: Its directory.

    Raises:
        FileError: A file cannot be read.
        InvalidArgumentError: A clause is missing or does not fit.
        UnsupportedError: Something is asked for that is not there yet.
    """

    @converted()
    def __init__(
        self,
        solver_config: SolverParser,
        config_file: FilePath,
        use_model_oversubscriber: bool = False,
        temp_embedding_dir: FilePath = "",
    ) -> None:
        if use_model_oversubscriber:
            if not temp_embedding_dir:
                raise InvalidArgumentError("Session(): use_model_oversubscriber=True needs a temp_embedding_dir")
            raise _no_oversubscriber("Session()")
        document = training_json.read(config_file)
        solver_config.warn_about_idle("Session()", _OF_FIT)
        solver = solver_config.solver(**training_json.schedule(document))
        self._model = Model(solver, training_json.reader(document), training_json.optimizer(document))
        self._model.construct_from_json(config_file, True)
        self._model.compile()
        solver_config.load_into(self._model)

    def train(self) -> bool:
        """Trains on one batch; False when the data had ended (``repeat_dataset=False``)."""
        return self._model.train()

    def eval(self) -> bool:
        """Evaluates one batch, with the weights as they are; False when the data had ended."""
        return self._model.eval()

    def get_eval_metrics(self) -> list[tuple[str, float]]:
        """Metrics over the batches evaluated since the last call: ``[("AUC", 0.79)]``."""
        return self._model.get_eval_metrics()

    @converted()
    def evaluation(
        self, export_predictions_out_file: FilePath = "", export_labels_out_file: FilePath = ""
    ) -> list[tuple[str, float]]:
        """Evaluates the next batch, from the beginning of the evaluation data where it has ended.

        Args:
            export_predictions_out_file: File that the predictions of the batch replace.
            export_labels_out_file: File that its labels replace.

        Returns:
            The metrics, as :meth:`get_eval_metrics`.

        Raises:
            InvalidArgumentError: Only one of the files is given.
            FileError: A file cannot be written.
        """
        outputs = (export_predictions_out_file, export_labels_out_file)
        if any(outputs) != all(outputs):
            raise InvalidArgumentError("Session.evaluation(): needs both export files, or neither")
        for output in filter(None, outputs):
            files.replace_file(output, [])
        if not self.eval():
            self.get_data_reader_eval().set_source()
            if not self.eval():
                raise HugectrError("Session.evaluation(): the evaluation data has no batch")
        if all(outputs):
            self._model.export_predictions(*outputs)
        return self.get_eval_metrics()

    evaluate = evaluation

    def start_data_reading(self) -> None:
        """Starts both readers; a loop in iteration mode (``repeat_dataset=True``) begins with it."""
        self._model.start_data_reading()

    def get_current_loss(self) -> float:
        """Loss of the last batch that was trained on."""
        return self._model.get_current_loss()

    @converted()
    def download_params_to_files(self, prefix: FilePath, iter: int) -> Error_t:
        """Saves weights and optimizer states.

        Writes ``<prefix>_dense_<iter>.model``, ``<prefix>_opt_dense_<iter>.model`` and for embedding i the files
        ``<prefix><i>_sparse_<iter>.model`` (of these releases, not a directory) and
        ``<prefix><i>_opt_sparse_<iter>.model``.

        Returns:
            Error_t.Success, or Error_t.WrongInput when `iter` is not positive and nothing was written.

        Raises:
            FileError: A file cannot be written.
        """
        if iter <= 0:
            return Error_t.WrongInput
        self._model._compiled("download_params_to_files").save(prefix, iter, single_files=True)
        return Error_t.Success

    @converted()
    def set_learning_rate(self, lr: float) -> Error_t:
        """Sets the rate of the next :meth:`train`."""
        return self._model.set_learning_rate(lr)

    @converted()
    def init_params(self, model_file: FilePath) -> Error_t:
        """Writes the dense weights, which a new session has drawn already, to a file."""
        self._model._compiled("init_params").save_dense(model_file)
        return Error_t.Success

    def get_params_num(self) -> int:
        """Number of dense weights and of elements of the embedding vectors in use."""
        return int(self._model._compiled("get_params_num").parameter_count())

    def check_overflow(self) -> None:
        """Of no effect: a batch whose new keys do not fit raises in :meth:`train`, and changes nothing."""

    def copy_weights_for_evaluation(self) -> None:
        """Of no effect: :meth:`eval` always uses the weights as they are."""

    def get_data_reader_train(self) -> Union[DataReader32, DataReader64]:
        """The reader of training data."""
        return self._model.get_data_reader_train()

    def get_data_reader_eval(self) -> Union[DataReader32, DataReader64]:
        """The reader of evaluation data."""
        return self._model.get_data_reader_eval()

    def get_model_oversubscriber(self) -> Any:
        """The embedding training cache under its first name (not supported yet)."""
        raise _no_oversubscriber("Session.get_model_oversubscriber()")

    get_model_prefetcher = get_model_oversubscriber


def _no_oversubscriber(where: str) -> UnsupportedError:
    return UnsupportedError(f"{where}: the model oversubscriber (embedding training cache) is not supported yet")
