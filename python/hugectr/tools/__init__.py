# SPDX-License-Identifier: Apache-2.0
"""Making data sets: from a data frame, or synthetic ones."""

from hugectr.tools.columns import Bins as Bins
from hugectr.tools.columns import Categorical as Categorical
from hugectr.tools.columns import Cross as Cross
from hugectr.tools.columns import Numeric as Numeric
from hugectr.tools.columns import Threshold as Threshold
from hugectr.tools.mappings import Mappings as Mappings
from hugectr.tools.to_parquet import ParquetDataSet as ParquetDataSet
from hugectr.tools.to_parquet import to_parquet as to_parquet
