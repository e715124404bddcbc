# SPDX-License-Identifier: Apache-2.0
"""The Adult census data, from its CSV files to two Parquet data sets: does a person earn more than 50 K a year?"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from hugectr.tools import Bins, Cross, ParquetDataSet, to_parquet

DATA = Path(__file__).parents[1] / "data" / "adult"

NUMERIC = ["age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
CATEGORICAL = [
    "workclass",
    "education",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "native_country",
]
COLUMNS = ["age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship",
           "race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"]  # fmt: skip

# What the wide part of Wide & Deep memorises: combinations, each one slot.
WIDE = [Cross("education", "occupation", min_frequency=5), Cross("marital_status", "occupation", min_frequency=5),
        Cross("workclass", "sex", "relationship", min_frequency=5)]  # fmt: skip
# One slot for each category, and one for each number cut into quantiles.
DEEP = [*CATEGORICAL, *(Bins(column, 32) for column in NUMERIC)]


def read_csv(file: Path) -> pa.Table:
    """One file as a table: text trimmed, "?" missing, labels without the full stop of the test file."""
    table = pyarrow.csv.read_csv(file, read_options=pyarrow.csv.ReadOptions(column_names=COLUMNS))
    for index, name in enumerate(COLUMNS):
        if pa.types.is_string(table[name].type):
            text = pc.utf8_trim(table[name], " .")
            table = table.set_column(index, name, pc.if_else(pc.equal(text, "?"), None, text))
    return table


def prepare(output: Path) -> tuple[ParquetDataSet, ParquetDataSet]:
    """Writes the training and the test data set below `output`."""
    train = to_parquet(
        read_csv(DATA / "adult-train.csv"),
        output / "train",
        labels={"income": {"<=50K": 0, ">50K": 1}},
        numeric=dict.fromkeys(NUMERIC, "standard"),
        categorical=[*WIDE, *DEEP],
    )
    return train, train.apply(read_csv(DATA / "adult-test.csv"), output / "test")
