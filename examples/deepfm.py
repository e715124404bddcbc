# SPDX-License-Identifier: Apache-2.0
"""DeepFM on generated data in the Norm format: a factorization machine and a deep network share their embeddings."""

import hugectr
from hugectr.tools import DataGenerator, DataGeneratorParams

DENSE, SLOTS, DIM = 13, 26, 10

generator_params = DataGeneratorParams(
    format=hugectr.DataReaderType_t.Norm,
    label_dim=1,
    dense_dim=DENSE,
    num_slot=SLOTS,
    i64_input_key=False,
    source="output/deepfm_data/file_list.txt",
    eval_source="output/deepfm_data/file_list_test.txt",
    slot_size_array=[1000] * SLOTS,
    num_files=8,
    eval_num_files=2,
    num_samples_per_file=8192,
)
DataGenerator(generator_params).generate()

solver = hugectr.CreateSolver(
    max_eval_batches=16, batchsize_eval=1024, batchsize=1024, lr=0.001, vvgpu=[[0]], repeat_dataset=True
)
reader = hugectr.DataReaderParams(
    data_reader_type=generator_params.format,
    source=[generator_params.source],
    eval_source=generator_params.eval_source,
    check_type=generator_params.check_type,
    num_workers=2,
)
optimizer = hugectr.CreateOptimizer(
    optimizer_type=hugectr.Optimizer_t.Adam,
    update_type=hugectr.Update_t.Local,
    beta1=0.9,
    beta2=0.999,
    epsilon=0.0000001,
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
# The last of the DIM + 1 values of an embedding vector is the first-order weight of its key.
model.add(
    hugectr.SparseEmbedding(
        embedding_type=hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash,
        workspace_size_per_gpu_in_mb=16,
        embedding_vec_size=DIM + 1,
        combiner="sum",
        sparse_embedding_name="sparse_embedding1",
        bottom_name="data1",
        optimizer=optimizer,
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.Reshape,
        bottom_names=["sparse_embedding1"],
        top_names=["reshape1"],
        leading_dim=DIM + 1,
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.Slice,
        bottom_names=["reshape1"],
        top_names=["slice11", "slice12"],
        ranges=[(0, DIM), (DIM, DIM + 1)],
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.Reshape, bottom_names=["slice11"], top_names=["reshape2"], leading_dim=SLOTS * DIM
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.Reshape, bottom_names=["slice12"], top_names=["reshape3"], leading_dim=SLOTS
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.WeightMultiply,
        bottom_names=["dense"],
        top_names=["weight_multiply1"],
        weight_dims=[DENSE, DIM],
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.WeightMultiply,
        bottom_names=["dense"],
        top_names=["weight_multiply2"],
        weight_dims=[DENSE, 1],
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.Concat, bottom_names=["reshape2", "weight_multiply1"], top_names=["concat1"]
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.InnerProduct, bottom_names=["concat1"], top_names=["fc1"], num_output=128
    )
)
model.add(hugectr.DenseLayer(layer_type=hugectr.Layer_t.ReLU, bottom_names=["fc1"], top_names=["relu1"]))
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.Dropout, bottom_names=["relu1"], top_names=["dropout1"], dropout_rate=0.5
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.InnerProduct, bottom_names=["dropout1"], top_names=["fc2"], num_output=128
    )
)
model.add(hugectr.DenseLayer(layer_type=hugectr.Layer_t.ReLU, bottom_names=["fc2"], top_names=["relu2"]))
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.Dropout, bottom_names=["relu2"], top_names=["dropout2"], dropout_rate=0.5
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.InnerProduct, bottom_names=["dropout2"], top_names=["fc3"], num_output=1
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.FmOrder2, bottom_names=["concat1"], top_names=["fmorder2"], out_dim=DIM
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.ReduceSum, bottom_names=["fmorder2"], top_names=["reducesum1"], axis=1
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.Concat, bottom_names=["reshape3", "weight_multiply2"], top_names=["concat2"]
    )
)
model.add(
    hugectr.DenseLayer(layer_type=hugectr.Layer_t.ReduceSum, bottom_names=["concat2"], top_names=["reducesum2"], axis=1)
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.Add, bottom_names=["fc3", "reducesum1", "reducesum2"], top_names=["add"]
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.BinaryCrossEntropyLoss, bottom_names=["add", "label"], top_names=["loss"]
    )
)
model.compile()
model.summary()
model.fit(max_iter=201, display=50, eval_interval=100, snapshot=200, snapshot_prefix="output/deepfm/deepfm")
