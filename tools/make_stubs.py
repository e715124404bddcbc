#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the type stubs of the package's public face, as type checkers and editors see it.

The functions of the package convert their arguments and take the spellings of every release, which their annotations
do not say. The stubs do: wider argument types, one overload for each set of spellings, and the members of the
enumerations. Run it after a change of a public signature or enumeration.
"""

from __future__ import annotations

import argparse
import ast
import enum
import inspect
import itertools
import keyword
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import hugectr
from hugectr import enums, errors, inference, unsupported
from hugectr.arguments import Record

HEADER = """# SPDX-License-Identifier: Apache-2.0
# Written by tools/make_stubs.py: what the package takes, in types.
# ruff: noqa
"""
NAMES = """
import os
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Protocol, SupportsFloat, SupportsIndex, Union, overload

import numpy as np

class _Array(Protocol):
    def tolist(self) -> Any: ...

_Bool = Union[bool, np.bool_]
_Text = Union[str, bytes, os.PathLike[str]]

"""
SUBMODULES = ("_core", "data", "enums", "errors", "inference", "log", "optimizer", "tools", "unsupported")
# Forms of other releases that name or order the arguments differently.
FORMS = {
    "Input": [
        """self, label_dim: Sequence[int], label_name: Sequence[str], label_weights: Sequence[float], dense_dim: int,
        dense_name: str, data_reader_sparse_param_array: Sequence[DataReaderSparseParam]""",
        """self, *, data_reader_type: DataReaderType_t, source: str, eval_source: str, check_type: Check_t,
        cache_eval_data: int = 0, label_dim: int, label_name: str, dense_dim: int, dense_name: str,
        num_samples: int = 0, eval_num_samples: int = 0, float_label_dense: bool = True, num_workers: int = 12,
        slot_size_array: Sequence[int] = (), data_reader_sparse_param_array: Sequence[DataReaderSparseParam],
        sparse_names: Sequence[str]""",
    ],
    "SparseEmbedding": [
        """self, embedding_type: Embedding_t, max_vocabulary_size_per_gpu: int, embedding_vec_size: int, combiner: int,
        sparse_embedding_name: str, bottom_name: str, slot_size_array: Sequence[int] = ()"""
    ],
    "Model": ["self, solver_parser: SolverParser, opt_params: OptParamsBase"],
    "DataReaderSparseParam": ["self, type: DataReaderSparse_t, max_feature_num: int, max_nnz: int, slot_num: int"],
    "HybridEmbeddingParam": [
        """self, max_num_frequent_categories: int, max_num_infrequent_samples: int, p_dup_max: float,
        max_all_reduce_bandwidth: float, max_all_to_all_bandwidth: float, efficiency_bandwidth_ratio: float,
        use_train_precompute_indices: bool, use_eval_precompute_indices: bool,
        communication_type: CommunicationType, hybrid_embedding_type: HybridEmbeddingType"""
    ],
    "set_source": [
        "self, source: Union[str, Sequence[str]], keyset: Union[str, Sequence[str]], eval_source: str",
        "self, source: Union[str, Sequence[str]], eval_source: str",
    ],
}


class Widen(ast.NodeTransformer):
    """What an annotation accepts after conversion, see hugectr.arguments."""

    SCALARS = {"int": "SupportsIndex", "float": "SupportsFloat", "bool": "_Bool", "str": "_Text",
               "FilePath": "_Text", "Seed": "SupportsIndex"}  # fmt: skip

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Name(self.SCALARS.get(node.id, node.id))

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        kind = ast.unparse(node.value)
        if kind == "Sequence":
            return parse(f"Union[{ast.unparse(node)}, _Array]")
        if kind == "tuple" and isinstance(node.slice, ast.Tuple):
            return parse(f"Union[Sequence[{ast.unparse(node.slice.elts[0])}], _Array]")
        if kind == "dict":
            return parse(f"Mapping[{ast.unparse(node.slice).strip('()')}]")
        return node


def parse(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def widened(annotation: str) -> str:
    return ast.unparse(Widen().visit(parse(annotation)))


def attribute_type(annotation: str) -> str:
    """Type of a record's attribute; where the argument has several, nobody relies on one."""
    plain = annotation.replace("FilePath", "str").replace("Seed", "int")
    return "Any" if plain.startswith("Union") else plain.replace("Sequence[", "list[")


def parameter_text(parameter: inspect.Parameter, name: str = "") -> str:
    kind = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    if parameter.name == "self":
        return "self"
    default = "" if parameter.default is parameter.empty else " = ..."
    return f"{kind}{name or parameter.name}: {widened(parameter.annotation)}{default}"


def overloads(function: Any) -> Iterator[str]:
    """Parameter lists: as declared, then with each set of other spellings of arguments that have no default."""
    parameters = list(inspect.signature(function).parameters.values())
    spellings: dict[str, list[str]] = {p.name: [p.name] for p in parameters}
    for alias, name in getattr(function, "aliases", {}).items():
        if not keyword.iskeyword(alias):
            spellings[name].append(alias)
    required = [p for p in parameters if p.default is p.empty]
    for names in itertools.product(*(spellings[p.name] for p in required)):
        chosen = dict(zip((p.name for p in required), names))
        texts: list[str] = []
        more: list[str] = []
        renamed = False
        for p in parameters:
            renamed |= chosen.get(p.name, p.name) != p.name  # from here on, by keyword
            if (renamed or p.kind is p.KEYWORD_ONLY) and "*" not in texts:
                texts.append("*")
            texts.append(parameter_text(p, chosen.get(p.name, p.name)))
            if p.name not in chosen:
                more += [parameter_text(p, alias) for alias in spellings[p.name][1:]]
        if more and "*" not in texts:
            texts.append("*")
        yield f"({', '.join(texts + more)})"


def form_text(arguments: ast.arguments) -> str:
    """The parameters of another release's form."""

    def text(argument: ast.arg, default: Any) -> str:
        kind = f": {widened(ast.unparse(argument.annotation))}" if argument.annotation else ""
        return argument.arg + kind + (" = ..." if default is not None else "")

    missing = [None] * (len(arguments.args) - len(arguments.defaults))
    parts = [text(*pair) for pair in zip(arguments.args, [*missing, *arguments.defaults])]
    if arguments.kwonlyargs:
        parts += ["*", *(text(*pair) for pair in zip(arguments.kwonlyargs, arguments.kw_defaults))]
    return ", ".join(parts)


def function_text(name: str, function: Any, label: str = "", indent: str = "") -> str:
    returns = inspect.signature(function).return_annotation
    forms = list(overloads(function))
    for form in FORMS.get(label, []):
        declared = ast.parse(f"def f({form}): ...").body[0]
        assert isinstance(declared, ast.FunctionDef)
        forms.append(f"({form_text(declared.args)})")
    if name == "CreateSolver":  # releases 3.1 and 3.2 began with the seed
        forms.append(forms[0].replace("(model_name: _Text = ..., seed: SupportsIndex = ...", "(seed: SupportsIndex"))
    marker = f"{indent}@overload\n" if len(forms) > 1 else ""
    return "".join(f"{marker}{indent}def {name}{form} -> {returns}: ...\n" for form in forms)


def class_text(cls: type, makers: dict[str, Any]) -> str:
    """Constructor, attributes and methods of a public class."""
    name, lines = cls.__name__, []
    init = inspect.getattr_static(cls, "__init__")
    if inspect.isfunction(init) and "Engine" not in str(inspect.signature(init)):  # only a Model makes those
        lines.append(function_text("__init__", init, name, "    "))
    source = makers.get(name, init if issubclass(cls, Record) else None)
    if inspect.isfunction(source):
        for p in inspect.signature(source).parameters.values():
            if p.name != "self":
                lines.append(f"    @property\n    def {p.name}(self) -> {attribute_type(p.annotation)}: ...\n")
    for method, function in inspect.getmembers(cls, inspect.isfunction):
        if not method.startswith("_") and not hasattr(Record, method):
            lines.append(function_text(method, function, method, "    "))
    return f"class {name}:\n{''.join(lines) or '    ...' + chr(10)}\n"


def placeholder_text(name: str) -> str:
    return f"class {name}:\n    def __init__(self, *args: Any, **kwargs: Any) -> None: ...\n\n"


def public(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}


def facade() -> str:
    """The stub of hugectr itself."""
    names = public(hugectr)
    placeholders = {**unsupported.TRAINING_CACHE, **unsupported.COLLECTION}
    makers = {"Solver": hugectr.CreateSolver, "HMemCacheConfig": hugectr.CreateHMemCache,
              "EmbeddingTrainingCacheParams": hugectr.CreateETC,
              "SolverParser": hugectr.solver_parser_helper}  # fmt: skip
    imports = [f"from hugectr import {name} as {name}\n" for name in SUBMODULES]
    imports.append("from hugectr.data import DataSourceParams\nfrom hugectr.optimizer import OptParamsBase\n")
    functions, classes, members, others = [], [], [], []
    for name, value in names.items():
        if isinstance(value, enum.Enum):
            members.append(f"{name} = {type(value).__name__}.{value.name}\n")
        elif name in placeholders:
            others.append(placeholder_text(name))
        elif name in vars(enums) and isinstance(value, type):
            imports.append(f"from hugectr.enums import {name} as {name}\n")
        elif name in vars(errors):
            imports.append(f"from hugectr.errors import {name} as {name}\n")
        elif inspect.isfunction(value):
            functions.append(function_text(name, value))
        elif isinstance(value, type):
            classes.append(class_text(value, makers) if value.__name__ == name else f"{name} = {value.__name__}\n\n")
    return "".join([HEADER, NAMES, *imports, "\n__version__: str\n\n", *classes, *functions, "\n", *others, *members])


def inference_stub() -> str:
    """The stub of hugectr.inference."""
    texts = ["from typing import Any\n\nfrom hugectr.enums import OrderedEnum\n\n"]
    for name, value in public(inference).items():
        if getattr(value, "__module__", "") != "hugectr.inference":
            continue
        if issubclass(value, enum.Enum):
            texts.append(f"class {name}(OrderedEnum):\n" + "".join(f"    {m.name} = ...\n" for m in value) + "\n")
        elif isinstance(value, type):
            texts.append(placeholder_text(name))
    return "".join([HEADER, "\n", *texts])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a stub is out of date")
    check = parser.parse_args().check
    folder = Path(__file__).resolve().parents[1] / "python/hugectr"
    stale = 0
    for name, text in (("__init__.pyi", facade()), ("inference.pyi", inference_stub())):
        path = folder / name
        if check and (not path.exists() or path.read_text() != text):
            print(f"{path} is out of date: run tools/make_stubs.py")
            stale += 1
        elif not check:
            path.write_text(text)
    return min(stale, 1)


if __name__ == "__main__":
    sys.exit(main())
