# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, run


class TestReshape(OpTests):
    type = "Reshape"
    cases = [
        Case((4, 6)),
        Case((4, 2, 3)),
        Case((4, 6), leading_dim=3),
        Case((4, 6), leading_dim=2, time_step=4),
        Case((4, 3, 5), selected=True, selected_slots=[2, 0]),
        Case((4, 3, 5), selected=True, selected_slots=[1, 1]),
        Case((4, 3, 5), selected=True),
        Case((1, 1, 1), selected=True, selected_slots=[0]),
        Case((501, 6, 33), selected=True, selected_slots=[5, 1, 3]),
        Case((4, 6), shape=[-1]),
        Case((4, 6), shape=[3, -1]),
        Case((4, 6), shape=[-1, 3, 2]),
        Case((4, 2, 6), shape=[4, 2, -1, 2]),
    ]

    @staticmethod
    def formula(x, w, leading_dim=0, time_step=0, selected=False, selected_slots=(), shape=()):
        if shape:
            return x[0].reshape(shape)
        if selected:
            return x[0][:, selected_slots or slice(None)].reshape(len(x[0]), -1)
        width = leading_dim or x[0][0].size
        return x[0].reshape((-1, time_step, width) if time_step else (-1, width))

    def test_wrong_arguments(self):
        with pytest.raises(ValueError, match=r"\[2, 5\] does not divide into rows of leading_dim 4"):
            run("Reshape", [np.ones((2, 5))], leading_dim=4)
        with pytest.raises(ValueError, match=r"\[2, 5\] does not divide into shape \[-1, 4\]"):
            run("Reshape", [np.ones((2, 5))], shape=[-1, 4])
        with pytest.raises(ValueError, match="takes shape, or leading_dim and time_step, not both"):
            run("Reshape", [np.ones((2, 5))], shape=[-1, 5], leading_dim=5)
        for shape in ([2, 5], [-1, -1], [-1, 0], [-1, 1, 1, 1, 1]):
            with pytest.raises(ValueError, match="one of them -1 and the others positive"):
                run("Reshape", [np.ones((2, 5))], shape=shape)
        with pytest.raises(ValueError, match="time_step 3 x leading_dim 5"):
            run("Reshape", [np.ones((2, 5))], leading_dim=5, time_step=3)
        with pytest.raises(ValueError, match="slot 3 is outside the 3 slots"):
            run("Reshape", [np.ones((2, 3, 4))], selected=True, selected_slots=[3])
        with pytest.raises(ValueError, match=r"\[batch, slot, dim\], got \[2, 5\]"):
            run("Reshape", [np.ones((2, 5))], selected=True)
