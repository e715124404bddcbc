# SPDX-License-Identifier: Apache-2.0
"""No member of the enumeration of layers is without its layer."""

import hugectr
from hugectr._core import layer_catalog


def test_no_layer():
    known = {name for layer in layer_catalog() for name in (layer["name"], *layer["aliases"])}
    assert [member.name for member in hugectr.Layer_t if member.name not in known] == []
