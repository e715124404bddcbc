# SPDX-License-Identifier: Apache-2.0
"""Optimizer states say what they belong to; files that do not are measured and looked at."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import hugectr
import numpy as np
import pytest
from harness import reference, training
from harness.declaration import SparseInput, node
from harness.reference_optimizers import STATES, Optimizer
from model.tiny import DISTRIBUTED, LOCALIZED, tiny, tiny_batch

KINDS = tuple(STATES)
BATCH = 16


def create(folder, optimizer, declaration=None, keys=None, **options):
    """A model and data that give every state other values than at its start; with ``keys``, those in every sample."""
    declaration = declaration or tiny()
    rng = np.random.default_rng(5)
    batches = [reference.random_batch(declaration, BATCH, rng) for _ in range(2)]
    if keys is not None:
        batches = [tiny_batch(rng.normal(size=(BATCH, 2)).tolist(), [0, 1] * (BATCH // 2), np.array(keys))]
    source = training.write_norm(folder, declaration, batches)
    return training.create_model(declaration, optimizer, source, batch_size=BATCH, lr=0.05, **options)


def optimizer_of(kind, update="Local"):
    return Optimizer(kind, update, momentum_factor=0.8, initial_accu_value=0.1)


def save(model, folder, steps=3):
    """Files of a model after some steps: the states of the dense weights and of the embedding."""
    model.start_data_reading()
    training.train(model, steps)
    model.save_params_to_files(str(folder / "s"))
    return folder / "s_opt_dense_0.model", folder / "s0_opt_sparse_0.model"


def load_weights(model, folder):
    model.load_dense_weights(str(folder / "s_dense_0.model"))
    model.load_sparse_weights([str(folder / "s0_sparse_0.model")])


def load_states(model, dense, sparse):
    model.load_dense_optimizer_states(str(dense))
    model.load_sparse_optimizer_states([str(sparse)])


def refused(action, *words):
    with pytest.raises(hugectr.HugectrError) as error:
        action()
    for word in words:
        assert word in str(error.value)


def without_description(*files):
    """As files of the first release: nothing says whose they are."""
    for file in files:
        file.with_name(file.name + ".json").unlink()


def without_side_files(*files):
    """As files of other libraries."""
    without_description(*files)
    for file in files:
        file.with_name(file.name + ".step").unlink()


@pytest.mark.parametrize("saved, loading", list(itertools.permutations(KINDS, 2)))
def test_states_of_another_optimizer_are_refused_by_name(saved, loading, tmp_path):
    dense, sparse = save(create(tmp_path / "d", optimizer_of(saved)), tmp_path)
    model = create(tmp_path / "d", optimizer_of(loading))
    load_weights(model, tmp_path)
    for file, load in (
        (dense, model.load_dense_optimizer_states),
        (sparse, lambda file: model.load_sparse_optimizer_states([file])),
    ):
        refused(lambda: load(str(file)), file.name, f'optimizer is "{saved}"', f'here "{loading}"')  # noqa: B023
    model.save_params_to_files(str(tmp_path / "after"))
    fresh = create(tmp_path / "d", optimizer_of(loading))
    load_weights(fresh, tmp_path)
    fresh.save_params_to_files(str(tmp_path / "fresh"))
    for name in ("_opt_dense_0.model", "0_opt_sparse_0.model"):
        assert (tmp_path / f"after{name}").read_bytes() == (tmp_path / f"fresh{name}").read_bytes()


def test_what_a_description_says(tmp_path):
    dense, sparse = save(create(tmp_path / "d", optimizer_of("Adam", "LazyGlobal"), ranks=2), tmp_path)
    rows = (tmp_path / "s0_sparse_0.model" / "key").stat().st_size // 8
    said = json.loads(dense.with_name(dense.name + ".json").read_text())
    assert said == {
        "format": "hugectr optimizer states 1",
        "optimizer": "Adam",
        "state_tensors": 2,
        "weights": [[2, 1], [1, 1]],
    }
    said = json.loads(sparse.with_name(sparse.name + ".json").read_text())
    assert len(said.pop("keys")) == 16
    assert said == {
        "format": "hugectr optimizer states 1",
        "optimizer": "Adam",
        "state_tensors": 2,
        "embedding_type": "DistributedSlotSparseEmbeddingHash",
        "embedding_vec_size": 2,
        "embedding": "embedding",
        "update_type": "LazyGlobal",
        "last_steps": True,
        "ranks": 2,
        "rows": rows,
        "rows_of_a_rank": 32768,
    }


@pytest.mark.parametrize("kind", ["MomentumSGD", "Nesterov", "AdaGrad", "Adam"])
def test_weights_of_another_shape_are_refused(kind, tmp_path):
    """BatchNorm and MultiCross have as many weights here, of other shapes."""
    normal = tiny(dense_nodes=(node("BatchNorm", "dense", "x"),))
    cross = tiny(dense_nodes=(node("MultiCross", "dense", "x", num_layers=1),))
    dense, _ = save(create(tmp_path / "d", optimizer_of(kind), normal), tmp_path)
    other = create(tmp_path / "d", optimizer_of(kind), cross)
    refused(lambda: other.load_dense_optimizer_states(str(dense)), dense.name, "weights is [[2,1],", "here [[")


def test_states_of_other_rows_are_refused(tmp_path):
    (tmp_path / "b").mkdir()
    _, first = save(create(tmp_path / "d", optimizer_of("AdaGrad"), keys=(7, 300)), tmp_path)
    save(create(tmp_path / "e", optimizer_of("AdaGrad"), keys=(6, 300)), tmp_path / "b")
    model = create(tmp_path / "d", optimizer_of("AdaGrad"))
    states = [str(first)]
    refused(lambda: model.load_sparse_optimizer_states(states), first.name, "2 rows", "has none yet", "first")
    load_weights(model, tmp_path / "b")
    refused(lambda: model.load_sparse_optimizer_states(states), first.name, "2 rows", "has 2 of other keys", "first")
    load_weights(model, tmp_path)
    model.load_sparse_optimizer_states(states)


def test_states_of_another_embedding_are_refused(tmp_path):
    _, states = save(create(tmp_path / "d", optimizer_of("AdaGrad")), tmp_path)
    wide = replace(tiny(), embeddings=(replace(tiny().embeddings[0], dim=4),), nodes=())
    wide = replace(
        wide, nodes=tuple(replace(n, args=(("leading_dim", 8),)) if n.tops == ("flat",) else n for n in tiny().nodes)
    )
    model = create(tmp_path / "d", optimizer_of("AdaGrad"), wide)
    refused(lambda: model.load_sparse_optimizer_states([str(states)]), "embedding_vec_size is 2", "here 4")
    model = create(tmp_path / "d", optimizer_of("AdaGrad"), tiny(LOCALIZED))
    refused(lambda: model.load_sparse_optimizer_states([str(states)]), "embedding_type", "Distributed", "Localized")


@pytest.mark.parametrize("described", [True, False])
def test_lazy_rows_stay_with_lazy_updates(described, tmp_path):
    _, states = save(create(tmp_path / "d", optimizer_of("Adam", "LazyGlobal")), tmp_path)
    if not described:
        without_description(states)
    model = create(tmp_path / "d", optimizer_of("Adam", "Global"))
    load_weights(model, tmp_path)
    refused(lambda: model.load_sparse_optimizer_states([str(states)]), "LazyGlobal" if described else "expected 8")


def test_rows_of_other_updates_are_up_to_date(tmp_path):
    """Taken over by LazyGlobal, a row has missed no step: it goes on as if it had been hit by the last one."""
    plain, lazy = (tiny(workspace_mb=mb) for mb in (3, 4))  # as many rows: lazy ones are charged a third more
    _, states = save(create(tmp_path / "d", optimizer_of("Adam", "Global"), plain), tmp_path)
    model = create(tmp_path / "d", optimizer_of("Adam", "LazyGlobal"), lazy)
    load_weights(model, tmp_path)
    model.load_sparse_optimizer_states([str(states)])
    model.save_params_to_files(str(tmp_path / "lazy"))
    steps = np.fromfile(tmp_path / "lazy0_opt_sparse_0.model.step", "<i8")
    assert len(steps) > 2 and set(steps) == {3}


@pytest.mark.parametrize("kind, update", [("AdaGrad", "Local"), ("MomentumSGD", "Global"), ("Adam", "LazyGlobal")])
def test_files_of_the_first_release_continue(kind, update, tmp_path, capfd):
    """Step counters but no description: one warning a file, and the run goes on bit for bit."""
    trained = create(tmp_path / "d", optimizer_of(kind, update), ranks=2)
    files = save(trained, tmp_path, steps=4)
    resumed = create(tmp_path / "d", optimizer_of(kind, update), ranks=2)
    without_description(*files)
    load_weights(resumed, tmp_path)
    capfd.readouterr()
    load_states(resumed, *files)
    warnings = [line for line in capfd.readouterr().out.splitlines() if "WARNING" in line]
    assert len(warnings) == 2 and all(f.name in "".join(warnings) and kind in "".join(warnings) for f in files)
    resumed.start_data_reading()
    assert training.train(resumed, 4) == training.train(trained, 4)


@pytest.mark.parametrize("strip", [without_description, without_side_files])
@pytest.mark.parametrize(
    "saved, loading",
    [
        ("MomentumSGD", "AdaGrad"),
        ("Nesterov", "AdaGrad"),
        ("Adam", "AdaGrad"),
        ("MomentumSGD", "RMSProp"),
        ("Adam", "Ftrl"),
    ],
)
def test_undescribed_states_that_cannot_be_are_refused(saved, loading, strip, tmp_path):
    dense, sparse = save(create(tmp_path / "d", optimizer_of(saved)), tmp_path)
    strip(dense, sparse)
    model = create(tmp_path / "d", optimizer_of(loading))
    load_weights(model, tmp_path)
    refused(lambda: model.load_dense_optimizer_states(str(dense)), dense.name, loading)
    refused(lambda: model.load_sparse_optimizer_states([str(sparse)]), sparse.name, loading)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_states_are_finite(bad, tmp_path):
    dense, _ = save(create(tmp_path / "d", optimizer_of("MomentumSGD")), tmp_path)
    values = np.fromfile(dense, "<f4")
    values[1] = bad
    values.tofile(dense)
    model = create(tmp_path / "d", optimizer_of("MomentumSGD"))
    refused(lambda: model.load_dense_optimizer_states(str(dense)), "value 1 of state tensor 0 is")
    without_description(dense)
    refused(lambda: model.load_dense_optimizer_states(str(dense)), "value 1 of state tensor 0 is")


@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize("kind, update", [("SGD", "Local"), ("AdaGrad", "Local"), ("Adam", "LazyGlobal")])
def test_step_files_of_another_length_are_refused(kind, update, described, tmp_path):
    files = save(create(tmp_path / "d", optimizer_of(kind, update)), tmp_path)
    model = create(tmp_path / "d", optimizer_of(kind, update))
    load_weights(model, tmp_path)
    if not described:
        without_description(*files)
    for file in files:
        steps = file.with_name(file.name + ".step")
        good = steps.read_bytes()
        for bad in (b"", good[:-1], good + bytes(8), good[:8] + bytes(8)):
            steps.write_bytes(bad)
            refused(lambda: load_states(model, *files), steps.name, f"{len(bad)} bytes")
        steps.write_bytes(good)
    load_states(model, *files)


def test_last_steps_lie_in_the_past(tmp_path):
    _, states = save(create(tmp_path / "d", optimizer_of("Adam", "LazyGlobal")), tmp_path)
    model = create(tmp_path / "d", optimizer_of("Adam", "LazyGlobal"))
    load_weights(model, tmp_path)
    file = states.with_name(states.name + ".step")
    good = np.fromfile(file, "<i8")
    for bad in (0, 4):
        steps = good.copy()
        steps[2] = bad
        steps.tofile(file)
        refused(lambda: model.load_sparse_optimizer_states([str(states)]), f"entry 2 is {bad}", "3 steps")  # noqa: B023


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"format": 3}', '{"format": "hugectr optimizer states 2"}', "[" * 10000]
)
def test_damaged_descriptions_are_refused(text, tmp_path):
    dense, sparse = save(create(tmp_path / "d", optimizer_of("Adam")), tmp_path)
    model = create(tmp_path / "d", optimizer_of("Adam"))
    load_weights(model, tmp_path)
    for file in (dense, sparse):
        file.with_name(file.name + ".json").write_text(text)
    refused(lambda: model.load_dense_optimizer_states(str(dense)), dense.name + ".json")
    refused(lambda: model.load_sparse_optimizer_states([str(sparse)]), sparse.name + ".json")


@pytest.mark.parametrize("member, value", [("ranks", "two"), ("ranks", 1.5), ("last_steps", 7), ("rows", [])])
def test_odd_members_of_a_description(member, value, tmp_path):
    _, sparse = save(create(tmp_path / "d", optimizer_of("Adam")), tmp_path)
    file = sparse.with_name(sparse.name + ".json")
    file.write_text(json.dumps({**json.loads(file.read_text()), member: value}))
    model = create(tmp_path / "d", optimizer_of("Adam"))
    load_weights(model, tmp_path)
    if member == "rows":
        refused(lambda: model.load_sparse_optimizer_states([str(sparse)]), "[] rows")
    else:
        model.load_sparse_optimizer_states([str(sparse)])


@pytest.mark.parametrize("described", [True, False])
def test_another_number_of_ranks_finds_its_states(described, tmp_path):
    """The capacity of one rank for two equal slots is that of two ranks together: the size says nothing then."""
    slots = (SparseInput("data1", (50, 50)),)
    declaration = replace(tiny(LOCALIZED), inputs=slots)
    declaration = replace(declaration, embeddings=(replace(declaration.embeddings[0], sized=True),))
    files = save(create(tmp_path / "d", optimizer_of("AdaGrad"), declaration), tmp_path)
    if not described:
        without_description(*files)
    found = []
    for ranks in (2, 1):
        model = create(tmp_path / "d", optimizer_of("AdaGrad"), declaration, ranks=ranks)
        load_weights(model, tmp_path)
        load_states(model, *files)
        prefix = tmp_path / str(ranks)
        model.save_params_to_files(str(prefix))
        keys = np.fromfile(f"{prefix}0_sparse_0.model/key", "<i8")
        of_rank = keys >= 50 if ranks == 2 else np.zeros(len(keys), bool)
        states = np.fromfile(f"{prefix}0_opt_sparse_0.model", "<f4").reshape(100, 2)
        got = {k: states[np.sum(of_rank[:i] == of_rank[i]) + 50 * of_rank[i]].tolist() for i, k in enumerate(keys)}
        assert len(got) > 20 and all(max(s) > 0.1 for s in got.values())
        found.append(got)
    assert found[0] == found[1]


def test_slots_of_another_embedding_do_not_stay(tmp_path):
    """Saved over a localized embedding, a distributed one leaves no slots that would belong to other keys."""
    create(tmp_path / "d", optimizer_of("SGD"), tiny(LOCALIZED)).save_params_to_files(str(tmp_path / "s"))
    assert (tmp_path / "s0_sparse_0.model" / "slot_id").exists()
    create(tmp_path / "d", optimizer_of("SGD")).save_params_to_files(str(tmp_path / "s"))
    assert {p.name for p in (tmp_path / "s0_sparse_0.model").iterdir()} == {"key", "emb_vector"}


def twins(first="left", second="right"):
    """Two embeddings of one input: they have the same keys in the same order."""
    one = tiny().embeddings[0]
    flat = [node("Reshape", name, f"flat_{name}", leading_dim=4) for name in (first, second)]
    joined = node("Concat", f"flat_{first} flat_{second}", "flat")
    rest = tuple(n for n in tiny().nodes if n.tops != ("flat",))
    return replace(
        tiny(),
        embeddings=tuple(replace(one, name=name) for name in (first, second)),
        nodes=(*flat, joined, *rest),
    )


def pair(folder):
    return [str(folder / f"s{i}_sparse_0.model") for i in (0, 1)], [
        str(folder / f"s{i}_opt_sparse_0.model") for i in (0, 1)
    ]


def test_states_of_two_embeddings_with_the_same_keys_are_not_swapped(tmp_path):
    save(create(tmp_path / "d", optimizer_of("AdaGrad"), twins()), tmp_path)
    weights, states = pair(tmp_path)
    assert np.array_equal(*(np.fromfile(f"{file}/key", "<i8") for file in weights))
    model = create(tmp_path / "d", optimizer_of("AdaGrad"), twins())
    model.load_sparse_weights(weights)
    refused(lambda: model.load_sparse_optimizer_states(states[::-1]), 'embedding "left"', "s1_opt", 'embedding "right"')
    model.load_sparse_optimizer_states(states)
    without_description(*map(Path, states))
    model.load_sparse_optimizer_states(states)


def test_states_of_a_renamed_embedding_are_taken_with_one_warning(tmp_path, capfd):
    save(create(tmp_path / "d", optimizer_of("AdaGrad"), twins()), tmp_path)
    weights, states = pair(tmp_path)
    for i, names in enumerate([("old", "right"), ("left", "right")]):
        model = create(tmp_path / "d", optimizer_of("AdaGrad"), twins(*names))
        model.load_sparse_weights(weights)
        capfd.readouterr()
        for _ in range(2):
            model.load_sparse_optimizer_states(states)
        warnings = [line for line in capfd.readouterr().out.splitlines() if "WARNING" in line]
        assert len(warnings) == (i == 0), warnings
        assert all('embedding "old"' in w and 'under the name "left"' in w for w in warnings)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("embedding_type", [DISTRIBUTED, LOCALIZED])
@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_states_follow_their_keys_into_another_workspace(before, after, embedding_type, ranks, tmp_path):
    """More iterations of a resumed model give the same losses, whatever the room for further rows."""
    optimizer = optimizer_of("Adam", "LazyGlobal")
    trained = create(tmp_path / "d", optimizer, tiny(embedding_type, workspace_mb=before), ranks=ranks)
    files = save(trained, tmp_path, steps=4)
    resumed = create(tmp_path / "d", optimizer, tiny(embedding_type, workspace_mb=after), ranks=ranks)
    load_weights(resumed, tmp_path)
    load_states(resumed, *files)
    resumed.start_data_reading()
    assert training.train(resumed, 4) == training.train(trained, 4)
    if after % before == 0 or ranks == 1:  # else the size is that of more ranks
        without_description(*files)
        refused(lambda: load_states(resumed, *files), files[1].name, "workspace_size_per_gpu_in_mb")
