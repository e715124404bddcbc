# SPDX-License-Identifier: Apache-2.0
"""Train and serve click-through-rate models."""

from hugectr import _core as _core
from hugectr.errors import HugectrError as HugectrError
