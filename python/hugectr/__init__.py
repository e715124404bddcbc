# SPDX-License-Identifier: Apache-2.0
"""Train and serve click-through-rate models."""

from hugectr import _core as _core
from hugectr import enums as enums
from hugectr.enums import *  # noqa: F403
from hugectr.errors import HugectrError as HugectrError

globals().update(enums.members())
