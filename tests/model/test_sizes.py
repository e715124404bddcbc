# SPDX-License-Identifier: Apache-2.0
"""Sizes that overflow or that no machine holds are errors that name the argument, before anything is allocated."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import hugectr
import pytest
from harness import training
from harness.declaration import Embedding, Label, node
from harness.reference_optimizers import Optimizer
from hugectr._core import default_device
from hugectr.errors import InvalidArgumentError, OutOfMemoryError
from model.test_errors import changed
from model.tiny import LOCALIZED, tiny, tiny_data

SGD, BIG = Optimizer("SGD"), 2**62
INVERSE_OF_3 = pow(3, -1, 2**64)  # times 3 it is 1 in 64 bits


def inserted(type, **args):
    """The tiny model with a layer between the dense input and fc."""
    return changed(fc=(node(type, "dense", "x", **args), node("InnerProduct", "x", "fc")))


def reshaped(leading_dim, time_step):
    return changed(flat=node("Reshape", "embedding", "flat", leading_dim=leading_dim, time_step=time_step))


def with_embedding(**args):
    return replace(tiny(), embeddings=(Embedding("embedding", "data1", **{"dim": 2, **args}),))


OVERFLOWS = {
    "a product that wraps to 0": (reshaped(8, 2**61), ["flat", "time_step", str(2**61)]),
    "a product that wraps to the size": (reshaped(3, 4 * INVERSE_OF_3 % 2**63), ["flat", "time_step"]),
    "the largest extents": (reshaped(2**31 - 1, 2**31 - 1), ["flat", "time_step 2147483647 x leading_dim 2147483647"]),
    "num_output": (inserted("InnerProduct", num_output=BIG), ["x", "num_output", "2147483647", str(BIG)]),
    "num_layers": (inserted("MultiCross", num_layers=2**40), ["x", "num_layers", "1024", str(2**40)]),
    "out_dim": (inserted("FmOrder2", out_dim=BIG), ["x", "out_dim", str(BIG)]),
    "weight_dims": (inserted("WeightMultiply", weight_dims=[2, BIG]), ["x", "weight_dims", str(BIG)]),
    "label_dim": (replace(tiny(), labels=(Label("label", BIG),)), [f"label_dim={BIG}"]),
    "dense_dim": (replace(tiny(), dense_dim=BIG), [f"dense_dim={BIG}"]),
    "workspace that wraps to 0": (with_embedding(workspace_mb=2**45), ["embedding", "workspace_size_per_gpu_in_mb"]),
}


@pytest.mark.parametrize("case", OVERFLOWS)
def test_overflow(case, tmp_path):
    declaration, words = OVERFLOWS[case]
    with pytest.raises(InvalidArgumentError) as error:
        training.create_model(declaration, SGD, tiny_data(tmp_path, tiny()), batch_size=4)
    assert [w for w in words if w not in str(error.value)] == [], str(error.value)


def advised(error):
    """The workspace that an error says would do."""
    match = re.search(r"(\d+) or less(?: for each embedding)? would do", str(error.value))
    assert match, str(error.value)
    return int(match[1])


@pytest.mark.parametrize("ranks", [1, 2])
def test_workspace_of_too_many_rows(ranks, tmp_path):
    """Too many to number, or to reserve."""
    if ranks == 2 and default_device() != "cpu":
        pytest.skip("one GPU has one rank")
    source = tiny_data(tmp_path, tiny())
    with pytest.raises((InvalidArgumentError, OutOfMemoryError)) as error:
        training.create_model(with_embedding(workspace_mb=2**20), SGD, source, batch_size=4, ranks=ranks)
    assert 'embedding "embedding": workspace_size_per_gpu_in_mb=1048576' in str(error.value)
    largest = with_embedding(workspace_mb=advised(error))
    training.train(started(training.create_model(largest, SGD, source, batch_size=4, ranks=ranks)), 1)


def started(model):
    model.start_data_reading()
    return model


LITTLE_SPACE = """
import re, resource, sys
sys.path.insert(0, {tests!r})
from dataclasses import replace
from pathlib import Path
from harness import training
from harness.declaration import node
from harness.reference_optimizers import Optimizer
from hugectr.errors import OutOfMemoryError
from model.tiny import tiny

resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))

def made(*workspaces):
    declaration = tiny()
    first = declaration.embeddings[0]
    names = ["embedding", "e1"][:len(workspaces)]
    embeddings = [replace(first, name=name, workspace_mb=mb) for name, mb in zip(names, workspaces)]
    flats = [node("Reshape", name, "flat_" + name, leading_dim=4) for name in names]
    joined = node("Concat", " ".join("flat_" + name for name in names), "flat")
    rest = [n for n in declaration.nodes if n.tops != ("flat",)]
    declaration = replace(declaration, embeddings=tuple(embeddings), nodes=(*flats, joined, *rest))
    model = training.create_model(declaration, Optimizer("SGD"), {source!r}, batch_size=4)
    model.start_data_reading()
    assert model.train()

for workspaces in ((100000,), (196607,), (200000,), (10, 100000), (90000, 100000)):
    try:
        made(*workspaces)
        sys.exit("not refused")
    except OutOfMemoryError as error:
        text = str(error)
    largest = max(workspaces)
    name = "embedding" if len(workspaces) == 1 else "e1"
    rows = largest * 2**20 // 8
    assert f'embedding "{{name}}": workspace_size_per_gpu_in_mb={{largest}} reserves {{rows * 44}} bytes' in text, text
    would_do = int(re.search(r"(\\d+) or less", text)[1])
    assert 100 < would_do < 2500, text
    made(*(min(mb, would_do) for mb in workspaces))
print("done")
"""


@pytest.mark.skipif(default_device() != "cpu", reason="a GPU takes all rows at once")
def test_a_workspace_that_is_not_granted_names_one_that_is(tmp_path):
    script = LITTLE_SPACE.format(tests=str(Path(__file__).parents[1]), source=tiny_data(tmp_path, tiny()))
    environment = {**os.environ, "HUGECTR_NUM_THREADS": "2", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines()[-1:] == ["done"], done.stdout[-500:] + done.stderr[-2000:]


@pytest.mark.parametrize(
    ("sizes", "ranks", "words"),
    [
        ([2**40, 1], 1, ["slot_size_array[0] is 1099511627776", "a slot lives on one rank", "DistributedSlot"]),
        ([3 * 2**30, 3 * 2**30], 1, ["slot_size_array makes 6442450944 rows on a rank of 1", "2 ranks would do"]),
    ],
)
@pytest.mark.skipif(default_device() != "cpu", reason="a GPU takes all rows at once")
def test_slots_of_too_many_rows(sizes, ranks, words, tmp_path):
    """Or too many to reserve, which is said first."""
    declaration = replace(
        tiny(LOCALIZED),
        embeddings=(Embedding("embedding", "data1", 2, type=LOCALIZED, sized=True),),
        inputs=(replace(tiny().inputs[0], slot_sizes=tuple(sizes)),),
    )
    with pytest.raises((InvalidArgumentError, OutOfMemoryError)) as error:
        training.create_model(declaration, SGD, tiny_data(tmp_path, tiny()), batch_size=4, ranks=ranks)
    if "would do" in str(error.value) and isinstance(error.value, OutOfMemoryError):
        words = ['embedding "embedding": slot_size_array reserves', "a slot_size_array that adds up to"]
    assert [w for w in words if w not in str(error.value)] == [], str(error.value)


@pytest.mark.parametrize("sizes", [[BIG, BIG], [2**31, 2**31]])
@pytest.mark.parametrize("embedding_type", [LOCALIZED, training.ONE_HOT])
def test_slot_sizes(embedding_type, sizes, tmp_path):
    model = training.create_model(
        replace(tiny(), embeddings=(), nodes=()), SGD, tiny_data(tmp_path, tiny()), batch_size=4, compile=False
    )
    model.add(
        hugectr.SparseEmbedding(
            embedding_type=getattr(hugectr.Embedding_t, embedding_type),
            embedding_vec_size=1,
            combiner="sum",
            sparse_embedding_name="embedding",
            bottom_name="data1",
            slot_size_array=sizes,
        )
    )
    flat = node("Reshape", "embedding", "flat", leading_dim=2)
    training.add_layers(
        model, [flat, *(n for n in changed(logit=node("Add", "fc wide", "logit")).nodes if n.tops != flat.tops)]
    )
    with pytest.raises(RuntimeError, match="embedding.*slot_size_array|the rows of embedding"):
        model.compile()


def test_a_graph_file_of_slot_sizes_that_do_not_fit(tmp_path):
    model = training.create_model(
        replace(tiny(), embeddings=(), nodes=()), SGD, tiny_data(tmp_path, tiny()), batch_size=4, compile=False
    )
    model.add(
        hugectr.SparseEmbedding(
            embedding_type=hugectr.Embedding_t.LocalizedSlotSparseEmbeddingOneHot,
            workspace_size_per_gpu_in_mb=1,
            embedding_vec_size=1,
            combiner="sum",
            sparse_embedding_name="embedding",
            bottom_name="data1",
        )
    )
    with pytest.raises(InvalidArgumentError, match="slot_size_array has 0 entries for the 2 slots"):
        model.graph_to_json(str(tmp_path / "graph.json"))


@pytest.mark.parametrize("slots", [10**7, 10**15])
def test_slots_are_counted_before_they_are_listed(slots):
    start = time.monotonic()
    with pytest.raises(InvalidArgumentError, match=f"slot_num must be 1 to 1048576, got {slots}"):
        hugectr.DataReaderSparseParam("data1", 1, True, slots)
    assert time.monotonic() - start < 1


def test_memory_that_is_not_there(tmp_path):
    source = tiny_data(tmp_path, tiny())
    with pytest.raises(OutOfMemoryError) as error:
        training.create_model(inserted("InnerProduct", num_output=2**31 - 1), SGD, source, batch_size=1 << 14)
    message = str(error.value)
    for word in ("needs", "TiB", "are available", 'tensor "x" [16384, 2147483647] (256 TiB)', "the largest"):
        assert word in message, message


def test_memory_of_several_ranks(tmp_path):
    source = tiny_data(tmp_path, tiny())
    if hugectr._core.default_device() != "cpu":
        pytest.skip("one GPU has one rank")
    with pytest.raises(OutOfMemoryError, match="for 4 ranks"):
        training.create_model(inserted("InnerProduct", num_output=2**31 - 1), SGD, source, batch_size=1 << 14, ranks=4)


def edit(graph, top, **members):
    next(n for n in graph["layers"] if n.get("top") == top).update(members)


GRAPH_FILES = {
    "reshape": (lambda g: edit(g, "flat", leading_dim=8, time_step=BIG), ["layers[3]", "time_step"]),
    "num_output": (
        lambda g: edit(g, "fc", fc_param={"num_output": BIG}),
        ["layers[2]", "fc_param.num_output", str(BIG)],
    ),
    "num_layers": (
        lambda g: edit(g, "fc", type="MultiCross", mc_param={"num_layers": 2**40}),
        ["layers[2]", "num_layers"],
    ),
    "slots": (lambda g: g["layers"][0]["sparse"][0].update(slot_num=10**7, nnz_per_slot=1), ["slot_num", "1048576"]),
    "label": (lambda g: g["layers"][0]["label"].update(label_dim=BIG), [f"label_dim={BIG}"]),
    "workspace": (
        lambda g: g["layers"][1]["sparse_embedding_hparam"].update(workspace_size_per_gpu_in_mb=2**45),
        ["embedding", "workspace_size_per_gpu_in_mb", str(2**45)],
    ),
    "rows": (
        lambda g: g["layers"][1].update(
            sparse_embedding_hparam={"max_vocabulary_size_global": BIG, "embedding_vec_size": 2, "combiner": "sum"}
        ),
        ["embedding", str(BIG)],
    ),
}


@pytest.mark.parametrize("case", GRAPH_FILES)
def test_graph_files(case, tmp_path):
    change, words = GRAPH_FILES[case]
    source = tiny_data(tmp_path, tiny())
    graph = tmp_path / "graph.json"
    training.create_model(tiny(), SGD, source, batch_size=4).graph_to_json(str(graph))
    document = json.loads(graph.read_text())
    change(document)
    graph.write_text(json.dumps(document))
    nothing = replace(tiny(), embeddings=(), nodes=())
    model = training.create_model(nothing, SGD, source, batch_size=4, compile=False, add_input=False)
    with pytest.raises((InvalidArgumentError, OutOfMemoryError)) as error:
        model.construct_from_json(str(graph), True)
        model.compile()
    assert [w for w in words if w not in str(error.value)] == [], str(error.value)
