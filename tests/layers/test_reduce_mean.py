# SPDX-License-Identifier: Apache-2.0
from layers.reduction import ReductionTests


class TestReduceMean(ReductionTests):
    type = "ReduceMean"

    @staticmethod
    def formula(x, w, axis=1):
        return x[0].mean(axis, keepdims=True)
