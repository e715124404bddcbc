# SPDX-License-Identifier: Apache-2.0
from layers.reduction import ReductionTests


class TestReduceSum(ReductionTests):
    type = "ReduceSum"

    @staticmethod
    def formula(x, w, axis=1):
        return x[0].sum(axis, keepdims=True)
