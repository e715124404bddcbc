#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the reference pages that follow from the tables of the library; run it after changing a layer's definition."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hugectr import _core, enums

LAYERS = Path(__file__).resolve().parents[1] / "docs/reference/layers.md"
INTRODUCTION = """# Layers

<!-- Written by tools/make_reference.py from the definitions of the layers. -->

What `DenseLayer(layer_type=Layer_t.…)` takes, and how a graph file spells it. Every layer runs on CPUs and GPUs, in
every precision that the [guide](../guide/training.md) lists, and is tested against 64-bit references and by its
gradients. Keywords that a layer does not list have no effect on it.
"""
RULES = {"if_changed": "only where it differs from the default", "presence": "its presence says yes"}


def value(default: Any) -> str:
    """A default as Python code."""
    return f"`{default!r}`"


def count(layer: dict[str, Any]) -> str:
    """How many bottoms a layer takes."""
    least, most = layer["min_inputs"], layer["max_inputs"]
    if most < 0:
        return f"{least} or more"
    return str(least) if least == most else f"{least} to {most}"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [list(header)]
    lines += [["---"] * len(lines[0]), *(list(row) for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def keyword_row(param: dict[str, Any]) -> list[str]:
    """One keyword: name, default, place in a graph file, meaning."""
    place = f"`{param['json_path']}`" if param["json_path"] else "–"
    if rule := RULES.get(param["rule"]):
        place += f", {rule}"
    return [f"`{param['keyword']}`", value(param["default"]), place, param["doc"]]


def layer_section(layer: dict[str, Any]) -> list[str]:
    """One layer's heading, meaning and keywords."""
    names = [layer["name"], *layer["aliases"]]
    members = [f"`{name}`" for name in names if hasattr(enums.Layer_t, name)]
    lines = ["", f"## {layer['name']}", "", layer["doc"][0].upper() + layer["doc"][1:] + ".", ""]
    lines.append(
        f"`Layer_t`: {', '.join(members) or '–'}. Bottoms: {count(layer)}." + (" A loss." if layer["is_loss"] else "")
    )
    if layer["params"]:
        lines += ["", *table(("keyword", "default", "in a graph file", "meaning"), map(keyword_row, layer["params"]))]
    return lines


def layers_page() -> str:
    """The page of all layers; those still to come are listed by name."""
    catalog = _core.layer_catalog()
    known = {name for layer in catalog for name in (layer["name"], *layer["aliases"])}
    missing = sorted(name for name in enums.Layer_t.__members__ if name not in known)
    lines = [INTRODUCTION]
    lines += table(
        ("layer", "what it computes"),
        ([f"[{layer['name']}](#{layer['name'].lower()})", layer["doc"]] for layer in catalog),
    )
    if missing:
        lines += ["", f"Not there yet, and refused by name: {', '.join(missing)}."]
    for layer in catalog:
        lines += layer_section(layer)
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of date")
    text = layers_page()
    if not parser.parse_args().check:
        LAYERS.write_text(text)
    elif not LAYERS.exists() or LAYERS.read_text() != text:
        print(f"{LAYERS} is out of date: run tools/make_reference.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
