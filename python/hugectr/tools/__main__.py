# SPDX-License-Identifier: Apache-2.0
"""``python -m hugectr.tools``: data in the text of others to data sets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Optional

from hugectr.errors import HugectrError
from hugectr.tools.criteo import criteo2hugectr, criteo2raw
from hugectr.tools.preprocess import preprocess


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m hugectr.tools", description=__doc__.replace("``", ""))
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("preprocess", help="Criteo's text to numbers, which the other two commands read")
    command.add_argument("source", help="text: a line a sample, label, 13 integers and 26 categories between tabs")
    command.add_argument("target", help="text: a line a sample, numbers between blanks")
    for option, what in (
        ("normalize_dense", "dense values scaled to [0, 1]"),
        ("feature_cross", "ids of C1 with C2 and of C3 with C4 before the others"),
    ):
        command.add_argument(f"--{option}", type=int, choices=(0, 1), default=1, help=f"{what} (default: 1)")

    command = commands.add_parser("criteo2hugectr", help="numbers in text to a Norm data set with keysets")
    command.add_argument("source", help="text: a line a sample, label, 13 dense values, ids")
    command.add_argument("prefix", help="of the data files: PREFIX0.data, PREFIX1.data, ...")
    command.add_argument("file_list", help="the list of the data files")
    command.add_argument("wide_keys", type=int, nargs="?", default=0, help="ids of slot 0 (default: 0, no such slot)")
    command.add_argument("files_per_list", type=int, nargs="?", default=0, help="default: 0, one list")

    command = commands.add_parser("criteo2raw", help="numbers in text to a Raw file (float_label_dense=True)")
    command.add_argument("source", help="text: a line a sample, label, 13 dense values, 26 ids")
    command.add_argument("target", help="the Raw file")
    return top


def run(given: argparse.Namespace) -> str:
    """Does what was asked for; says what came of it."""
    if given.command == "preprocess":
        ids = preprocess(given.source, given.target, bool(given.normalize_dense), bool(given.feature_cross))
        return f"{given.target}: {ids} ids"
    if given.command == "criteo2raw":
        done = criteo2raw(given.source, given.target)
        return f"{given.target}: {done.samples} samples"
    done = criteo2hugectr(given.source, given.prefix, given.file_list, given.wide_keys, given.files_per_list)
    return f"{given.prefix}*.data: {done.samples} samples in {done.files} files, {done.keys} keys"


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Returns the exit status."""
    given = parser().parse_args(arguments)
    try:
        print(run(given))
    except HugectrError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
