# SPDX-License-Identifier: Apache-2.0
"""Releases 2.3 and 3.0: the training JSON. Its layers are read like any graph file; the other clauses here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Union

from hugectr import idle
from hugectr.arguments import FilePath, checked
from hugectr.enums import Check_t, DataReaderType_t, Optimizer_t, OrderedEnum, Update_t
from hugectr.errors import FileError, InvalidArgumentError, NotFoundError
from hugectr.files import read_file
from hugectr.graph import MAX_FILE_BYTES
from hugectr.opt_params import CreateOptimizer, OptParamsPy
from hugectr.reader import DataReaderParams

_HPARAMS = {
    Optimizer_t.Adam: ("adam_hparam", ("beta1", "beta2", "epsilon")),
    Optimizer_t.AdaGrad: ("adagrad_hparam", ("initial_accu_value", "epsilon")),
    Optimizer_t.MomentumSGD: ("momentum_sgd_hparam", ("momentum_factor",)),
    Optimizer_t.Nesterov: ("nesterov_hparam", ("momentum_factor",)),
    Optimizer_t.SGD: ("sgd_hparam", ("atomic_update",)),
}
SCHEDULE = {"warmup_steps": int, "decay_start": int, "decay_steps": int, "decay_power": float, "end_lr": float}


class Clause:
    """An object of the document; errors name the file and the path of the member."""

    def __init__(self, file: str, path: str, members: Any) -> None:
        if not isinstance(members, dict):
            raise InvalidArgumentError(f"{file}: {path or 'the document'} must be an object, got {members!r:.60}")
        self._file, self._path, self.members = file, path, members
        self._known: set[str] = set()

    def name(self, key: str) -> str:
        """The member's path in the document."""
        return f"{self._path}.{key}" if self._path else key

    def has(self, key: str) -> bool:
        """Whether the member is there."""
        self._known.add(key)
        return key in self.members

    def get(self, key: str, kind: Any, default: Any = None) -> Any:
        """The member as that type; without a default it is needed."""
        self._known.add(key)
        if key not in self.members:
            if default is None:
                raise InvalidArgumentError(f"{self._file}: {self.name(key)} is missing")
            return default
        try:
            return checked("", key, kind, self.members[key])
        except (TypeError, InvalidArgumentError) as error:
            text = str(error).replace("(): ", "", 1).replace(f"argument '{key}'", self.name(key))
            raise InvalidArgumentError(f"{self._file}: {text}") from None

    def given(self, kinds: dict[str, Any]) -> dict[str, Any]:
        """Those of the members that are there."""
        return {key: self.get(key, kind) for key, kind in kinds.items() if self.has(key)}

    def warn_about_others(self) -> None:
        """One line about the members that nobody asked for."""
        others = [self.name(key) for key in self.members if key not in self._known]
        idle.warn(self._file, others, "here")

    def choice(self, key: str, choices: dict[str, Any], default: str = "") -> Any:
        """One of several values by its name."""
        name = self.get(key, str, default or None)
        if name not in choices:
            raise NotFoundError(f'{self._file}: {self.name(key)} is "{name}"; known: {", ".join(choices)}')
        return choices[name]

    def child(self, key: str) -> Clause:
        """An object among the members."""
        return Clause(self._file, self.name(key), self.get(key, Any))


def read(file: str) -> Clause:
    """The document of a file."""
    text = read_file(file, MAX_FILE_BYTES)
    try:
        return Clause(file, "", json.loads(text))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidArgumentError(f"{file}: not valid JSON at {where}: {error.msg}") from None
    except UnicodeDecodeError:
        raise FileError(f"{file}: not a text file") from None


def _members(kind: type[OrderedEnum]) -> dict[str, Any]:
    return dict(kind.__members__)


def _optimizer_parts(document: Clause) -> tuple[Clause, Optimizer_t, Clause]:
    clause = document.child("optimizer")
    kind = clause.choice("type", {name: m for name, m in _members(Optimizer_t).items() if m in _HPARAMS})
    return clause, kind, clause.child(_HPARAMS[kind][0])


def optimizer(document: Clause) -> OptParamsPy:
    """The optimizer; rows are updated locally unless it says otherwise, other than in later releases."""
    clause, kind, hparam = _optimizer_parts(document)
    if clause.has("update_type"):
        update = clause.choice("update_type", _members(Update_t))
    else:
        update = Update_t.Global if clause.get("global_update", bool, False) else Update_t.Local
    values = hparam.given({name: bool if name == "atomic_update" else float for name in _HPARAMS[kind][1]})
    return CreateOptimizer(optimizer_type=kind, update_type=update, **values)


def schedule(document: Clause) -> dict[str, Any]:
    """Base rate and schedule, as keywords of CreateSolver."""
    _, _, hparam = _optimizer_parts(document)
    return {"lr": hparam.get("learning_rate", float), **hparam.given(SCHEDULE)}


def data(document: Clause) -> Clause:
    """The Data layer, which comes first."""
    layers = document.get("layers", Any)
    if not isinstance(layers, list) or not layers:
        raise InvalidArgumentError(f"{document._file}: layers must be a list that begins with the Data layer")
    clause = Clause(document._file, "layers[0]", layers[0])
    clause.choice("type", {"Data": True})
    return clause


def reader(document: Clause) -> DataReaderParams:
    """What the Data layer says of the data set."""
    clause = data(document)
    formats = {name: _members(DataReaderType_t)[name] for name in ("Norm", "Raw", "Parquet")}
    kind = clause.choice("format", formats, "Norm")
    given = clause.given({"cache_eval_data": int, "num_samples": int, "eval_num_samples": int, "num_workers": int})
    return DataReaderParams(
        data_reader_type=kind,
        source=clause.get("source", Union[FilePath, Sequence[FilePath]]),
        eval_source=clause.get("eval_source", FilePath),
        check_type=clause.choice(
            "check", {"Sum": Check_t.Sum, "None": Check_t.Non}, "" if kind is DataReaderType_t.Norm else "None"
        ),
        float_label_dense=clause.get("float_label_dense", bool, False),
        slot_size_array=clause.get("slot_size_array", Sequence[int], ()),
        **given,
    )
