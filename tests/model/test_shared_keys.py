# SPDX-License-Identifier: Apache-2.0
"""Keys that several slots of a localized embedding share are named: their rows depend on the number of ranks."""

import re

import numpy as np
import pytest
from harness import training
from harness.reference_optimizers import Optimizer
from model.tiny import DISTRIBUTED, LOCALIZED, tiny, tiny_batch

WARNING = r'embedding "embedding": key (\d+) is in slots 0 and 1\. Slots of a localized embedding must'


@pytest.mark.parametrize(
    "kind, keys, warns", [(LOCALIZED, (7, 7), 1), (LOCALIZED, (7, 9), 0), (DISTRIBUTED, (7, 7), 0)]
)
def test_shared_keys_are_named_once(kind, keys, warns, tmp_path, capfd):
    declaration = tiny(kind)
    batches = [tiny_batch(np.ones((4, 2)).tolist(), [0, 1, 1, 0], np.array(keys))] * 6
    source = training.write_norm(tmp_path, declaration, batches)
    model = training.create_model(declaration, Optimizer("SGD"), source, batch_size=4)
    model.start_data_reading()
    training.train(model, 6)
    assert re.findall(WARNING, "".join(capfd.readouterr())) == ["7"] * warns
