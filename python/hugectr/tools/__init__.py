# SPDX-License-Identifier: Apache-2.0
"""Making data sets: from a data frame, or synthetic ones."""

from hugectr.tools.columns import Bins as Bins
from hugectr.tools.columns import Categorical as Categorical
from hugectr.tools.columns import Cross as Cross
from hugectr.tools.columns import Numeric as Numeric
from hugectr.tools.columns import Threshold as Threshold
from hugectr.tools.criteo import Converted as Converted
from hugectr.tools.criteo import criteo2hugectr as criteo2hugectr
from hugectr.tools.criteo import criteo2raw as criteo2raw
from hugectr.tools.formats import write_file_list as write_file_list
from hugectr.tools.formats import write_norm as write_norm
from hugectr.tools.formats import write_raw as write_raw
from hugectr.tools.generator import DataGenerator as DataGenerator
from hugectr.tools.generator import DataGeneratorParams as DataGeneratorParams
from hugectr.tools.mappings import Mappings as Mappings
from hugectr.tools.preprocess import preprocess as preprocess
from hugectr.tools.to_parquet import ParquetDataSet as ParquetDataSet
from hugectr.tools.to_parquet import to_parquet as to_parquet
