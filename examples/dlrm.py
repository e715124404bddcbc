# SPDX-License-Identifier: Apache-2.0
"""DLRM on generated data in the Raw format: dot products between all embeddings and the dense part."""

import hugectr
from hugectr.tools import DataGenerator, DataGeneratorParams

DENSE, SLOTS, DIM = 13, 26, 32
SLOT_SIZES = [1000] * SLOTS

generator_params = DataGeneratorParams(
    format=hugectr.DataReaderType_t.Raw,
    label_dim=1,
    dense_dim=DENSE,
    num_slot=SLOTS,
    i64_input_key=False,
    source="output/dlrm_data/train.bin",
    eval_source="output/dlrm_data/val.bin",
    slot_size_array=SLOT_SIZES,
    num_samples=65536,
    eval_num_samples=16384,
)
DataGenerator(generator_params).generate()

solver = hugectr.CreateSolver(
    max_eval_batches=16,
    batchsize_eval=1024,
    batchsize=1024,
    lr=0.1,
    warmup_steps=50,
    decay_start=150,
    decay_steps=100,
    end_lr=0,
    vvgpu=[[0]],
    repeat_dataset=True,
)
reader = hugectr.DataReaderParams(
    data_reader_type=generator_params.format,
    source=[generator_params.source],
    eval_source=generator_params.eval_source,
    check_type=generator_params.check_type,
    num_samples=generator_params.num_samples,
    eval_num_samples=generator_params.eval_num_samples,
)
optimizer = hugectr.CreateOptimizer(
    optimizer_type=hugectr.Optimizer_t.SGD, update_type=hugectr.Update_t.Local, atomic_update=True
)

model = hugectr.Model(solver, reader, optimizer)
model.add(
    hugectr.Input(
        label_dim=1,
        label_name="label",
        dense_dim=DENSE,
        dense_name="dense",
        data_reader_sparse_param_array=[hugectr.DataReaderSparseParam("data1", 1, True, SLOTS)],
    )
)
model.add(
    hugectr.SparseEmbedding(
        embedding_type=hugectr.Embedding_t.LocalizedSlotSparseEmbeddingOneHot,
        embedding_vec_size=DIM,
        combiner="sum",
        sparse_embedding_name="sparse_embedding1",
        bottom_name="data1",
        slot_size_array=SLOT_SIZES,
        optimizer=optimizer,
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.InnerProduct, bottom_names=["dense"], top_names=["fc1"], num_output=128
    )
)
model.add(hugectr.DenseLayer(layer_type=hugectr.Layer_t.ReLU, bottom_names=["fc1"], top_names=["relu1"]))
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.InnerProduct, bottom_names=["relu1"], top_names=["fc2"], num_output=64
    )
)
model.add(hugectr.DenseLayer(layer_type=hugectr.Layer_t.ReLU, bottom_names=["fc2"], top_names=["relu2"]))
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.InnerProduct, bottom_names=["relu2"], top_names=["fc3"], num_output=DIM
    )
)
model.add(hugectr.DenseLayer(layer_type=hugectr.Layer_t.ReLU, bottom_names=["fc3"], top_names=["relu3"]))
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.Interaction, bottom_names=["relu3", "sparse_embedding1"], top_names=["interaction1"]
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.InnerProduct, bottom_names=["interaction1"], top_names=["fc4"], num_output=256
    )
)
model.add(hugectr.DenseLayer(layer_type=hugectr.Layer_t.ReLU, bottom_names=["fc4"], top_names=["relu4"]))
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.InnerProduct, bottom_names=["relu4"], top_names=["fc5"], num_output=128
    )
)
model.add(hugectr.DenseLayer(layer_type=hugectr.Layer_t.ReLU, bottom_names=["fc5"], top_names=["relu5"]))
model.add(
    hugectr.DenseLayer(layer_type=hugectr.Layer_t.InnerProduct, bottom_names=["relu5"], top_names=["fc6"], num_output=1)
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.BinaryCrossEntropyLoss, bottom_names=["fc6", "label"], top_names=["loss"]
    )
)
model.compile()
model.summary()
model.fit(max_iter=201, display=50, eval_interval=100, snapshot=200, snapshot_prefix="output/dlrm/dlrm")
