# SPDX-License-Identifier: Apache-2.0
"""Optimizers with a learning rate, as release 3.0 had them; today's is :func:`hugectr.CreateOptimizer`."""

from hugectr.compat.preview import CreateOptimizer as CreateOptimizer
from hugectr.compat.preview import OptParamsBase as OptParamsBase
