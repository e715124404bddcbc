# SPDX-License-Identifier: Apache-2.0
"""Wide & Deep on generated data in the Norm format: a linear part that memorises, a deep part that generalises."""

import hugectr
from hugectr.tools import DataGenerator, DataGeneratorParams

DENSE, WIDE_SLOTS, DEEP_SLOTS, DIM = 13, 2, 26, 16

generator_params = DataGeneratorParams(
    format=hugectr.DataReaderType_t.Norm,
    label_dim=1,
    dense_dim=DENSE,
    num_slot=WIDE_SLOTS + DEEP_SLOTS,
    i64_input_key=False,
    source="output/wdl_data/file_list.txt",
    eval_source="output/wdl_data/file_list_test.txt",
    slot_size_array=[10000] * WIDE_SLOTS + [1000] * DEEP_SLOTS,
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
        data_reader_sparse_param_array=[
            hugectr.DataReaderSparseParam("wide_data", 1, True, WIDE_SLOTS),
            hugectr.DataReaderSparseParam("deep_data", 1, True, DEEP_SLOTS),
        ],
    )
)
model.add(
    hugectr.SparseEmbedding(
        embedding_type=hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash,
        workspace_size_per_gpu_in_mb=4,
        embedding_vec_size=1,
        combiner="sum",
        sparse_embedding_name="sparse_embedding2",
        bottom_name="wide_data",
        optimizer=optimizer,
    )
)
model.add(
    hugectr.SparseEmbedding(
        embedding_type=hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash,
        workspace_size_per_gpu_in_mb=16,
        embedding_vec_size=DIM,
        combiner="sum",
        sparse_embedding_name="sparse_embedding1",
        bottom_name="deep_data",
        optimizer=optimizer,
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.Reshape,
        bottom_names=["sparse_embedding1"],
        top_names=["reshape1"],
        leading_dim=DEEP_SLOTS * DIM,
    )
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.Reshape,
        bottom_names=["sparse_embedding2"],
        top_names=["reshape2"],
        leading_dim=WIDE_SLOTS,
    )
)
model.add(
    hugectr.DenseLayer(layer_type=hugectr.Layer_t.ReduceSum, bottom_names=["reshape2"], top_names=["wide_redn"], axis=1)
)
model.add(
    hugectr.DenseLayer(layer_type=hugectr.Layer_t.Concat, bottom_names=["reshape1", "dense"], top_names=["concat1"])
)
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.InnerProduct, bottom_names=["concat1"], top_names=["fc1"], num_output=256
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
        layer_type=hugectr.Layer_t.InnerProduct, bottom_names=["dropout1"], top_names=["fc2"], num_output=256
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
model.add(hugectr.DenseLayer(layer_type=hugectr.Layer_t.Add, bottom_names=["fc3", "wide_redn"], top_names=["add1"]))
model.add(
    hugectr.DenseLayer(
        layer_type=hugectr.Layer_t.BinaryCrossEntropyLoss, bottom_names=["add1", "label"], top_names=["loss"]
    )
)
model.compile()
model.summary()
model.fit(max_iter=201, display=50, eval_interval=100, snapshot=200, snapshot_prefix="output/wdl/wdl")
