# SPDX-License-Identifier: Apache-2.0
"""Names, order and defaults of the public interface, as documented and as scripts rely on them."""

import inspect
from typing import Any

import hugectr
import hugectr.data
import hugectr.tools
import pytest
from hugectr.arguments import REQUIRED
from hugectr.enums import OrderedEnum

# "name" is required, "name=default" has a default; names after "*" are keyword-only.
SIGNATURES = {
    "CreateSolver": """model_name='' seed=0 lr_policy=fixed lr=0.001 warmup_steps=1 decay_start=0 decay_steps=1
        decay_power=2.0 end_lr=0.0 max_eval_batches=100 batchsize_eval=2048 batchsize=2048 vvgpu=((0,),)
        repeat_dataset=True use_mixed_precision=False enable_tf32_compute=False scaler=1.0 metrics_spec={AUC:1.0}
        i64_input_key=False use_algorithm_search=True use_cuda_graph=True async_mlp_wgrad=False gen_loss_summary=True
        overlap_lr=False overlap_init_wgrad=False overlap_ar_a2a=False eval_overlap=False device_layout=LocalFirst
        use_holistic_cuda_graph=False use_overlapped_pipeline=False use_embedding_collection=False
        all_reduce_algo=NCCL grouped_all_reduce=False num_iterations_statistics=20 is_dlrm=False kafka_brockers=''
        data_source_params=None * perf_logging=False drop_incomplete_batch=None train_intra_iteration_overlap=False
        train_inter_iteration_overlap=False eval_intra_iteration_overlap=False eval_inter_iteration_overlap=False
        training_callbacks=() mixed_precision_type='auto' gauc_input='' gauc_slot=0""",
    "CreateETC": "ps_types sparse_models=() local_paths=() hmem_cache_configs=()",
    "CreateHMemCache": "num_blocks target_hit_rate max_num_evict",
    "CreateMOS": "train_from_scratch use_host_memory_ps=True trained_sparse_models=() dest_sparse_models=()",
    "AsyncParam": """num_threads num_batches_per_thread io_block_size io_depth io_alignment shuffle aligned_type
        multi_hot_reader=True is_dense_float=True""",
    "HybridEmbeddingParam": """max_num_frequent_categories max_num_infrequent_samples p_dup_max
        max_all_reduce_bandwidth max_all_to_all_bandwidth efficiency_bandwidth_ratio communication_type
        hybrid_embedding_type * use_train_precompute_indices=False use_eval_precompute_indices=False""",
    "DataReaderParams": """data_reader_type source keyset=() eval_source check_type cache_eval_data=0 num_samples=0
        eval_num_samples=0 float_label_dense=False num_workers=12 slot_size_array=() async_param=None
        * data_source_params=None read_file_sequentially=False drop_incomplete_batch=None
        shuffle=None""",
    "DataReaderSparseParam": "top_name nnz_per_slot is_fixed_length slot_num * max_feature_num=0",
    "CreateOptimizer": """optimizer_type=Adam update_type=Global beta1=0.9 beta2=0.999 epsilon=1e-07
        initial_accu_value=0.0 momentum_factor=0.0 atomic_update=True
        * beta=None lambda1=0.0 lambda2=0.0""",
    "Input": """label_dim label_name dense_dim dense_name data_reader_sparse_param_array * label_weights=None
        sparse_names=() reader_params=None""",
    "SparseEmbedding": """embedding_type workspace_size_per_gpu_in_mb=0 embedding_vec_size combiner
        sparse_embedding_name bottom_name slot_size_array=() optimizer=None hybrid_embedding_param=None
        * initializer=Default max_vocabulary_size_per_gpu=0""",
    "DenseLayerSwitchs": "fuse_wb=False",
    "DenseLayer": """layer_type bottom_names top_names factor=1.0 eps=1e-05 gamma_init_type=Default
        beta_init_type=Default dropout_rate=0.5 elu_alpha=1.0 num_output=1 weight_init_type=Default
        bias_init_type=Default num_layers=0 leading_dim=1 time_step=0 batchsize=1 SeqLength=1 vector_size=1
        selected=False selected_slots=() ranges=() indices=() weight_dims=() out_dim=0 axis=1 target_weight_vec=()
        use_regularizer=False regularizer_type=L1 lambda_=0.0 pos_type=Non act_type=Relu dense_layer_switches=None
        projection_dim=0 num_outputs=() use_bias=True activations=() biases=() max_sequence_len_from=1
        max_sequence_len_to=1 dim=0 index=() num_attention_heads=1 shape=()""",
    "GroupDenseLayer": "group_layer_type bottom_name_list top_name_list num_outputs last_act_type=Relu",
    "Model": "solver reader_params opt_params etc=None",
    "ModelPerfExt": "solver reader_params opt_params etc=None",
    "Model.add": "layer",
    "Model.compile": "loss_names=() loss_weights=()",
    "Model.summary": "",
    "Model.fit": """num_epochs=0 max_iter=2000 display=200 eval_interval=1000 snapshot=10000 snapshot_prefix=''
        data_source_params=None * callbacks=()""",
    "Model.graph_to_json": "graph_config_file",
    "Model.construct_from_json": "graph_config_file include_dense_network",
    "Model.load_dense_weights": "dense_model_file data_source_params=None",
    "Model.load_dense_optimizer_states": "dense_opt_states_file data_source_params=None",
    "Model.load_sparse_weights": "sparse_embedding_files data_source_params=None",
    "Model.load_sparse_optimizer_states": "sparse_opt_states_files data_source_params=None",
    "Model.save_params_to_files": "prefix iter=0",
    "Model.freeze_dense": "",
    "Model.unfreeze_dense": "",
    "Model.freeze_embedding": "embedding_name=''",
    "Model.unfreeze_embedding": "embedding_name=''",
    "Model.reset_learning_rate_scheduler": """base_lr warmup_steps=1 decay_start=0 decay_steps=1 decay_power=2.0
        end_lr=0.0""",
    "Model.set_source": "source keyset=() * eval_source",
    "Model.get_learning_rate_scheduler": "",
    "Model.get_data_reader_train": "",
    "Model.get_data_reader_eval": "",
    "Model.start_data_reading": "",
    "Model.set_learning_rate": "lr",
    "Model.train": "is_first_batch=True",
    "Model.eval": "is_first_batch=True",
    "Model.predict": "data=None * data_source_params=None",
    "Model.get_current_loss": "",
    "Model.get_eval_metrics": "",
    "Model.export_predictions": "output_prediction_file_name output_label_file_name",
    "Model.get_embedding_training_cache": "",
    "Model.get_model_oversubscriber": "",
    "Model.get_incremental_model": "",
    "Model.dump_incremental_model_2kafka": "",
    "LearningRateScheduler.get_next": "",
    "DataReader32.set_source": "file_name=''",
    "DataReader64.set_source": "file_name=''",
    "DataReader32.is_eof": "",
    "DataReader64.is_eof": "",
    "tools.DataGenerator": "data_generator_params",
    "tools.DataGenerator.generate": "",
    "tools.DataGeneratorParams": """format label_dim dense_dim num_slot i64_input_key source eval_source
        slot_size_array nnz_array=() check_type=Sum dist_type=PowerLaw power_law_type=Specific alpha=1.2 num_files=128
        eval_num_files=32 num_samples_per_file=40960 num_samples=5242880 eval_num_samples=1310720
        float_label_dense=False num_threads=1 seed=None""",
    "data.DataSource": "data_source_params",
    "data.DataSource.move_to_local": "hdfs_path='' local_path=''",
    "data.DataSourceParams": """use_hdfs=False namenode='localhost' port=9000 hdfs_train_source=''
        hdfs_train_filelist='' hdfs_eval_source='' hdfs_eval_filelist='' hdfs_dense_model='' hdfs_dense_opt_states=''
        hdfs_sparse_model=() hdfs_sparse_opt_states=() local_train_source='' local_train_filelist=''
        local_eval_source='' local_eval_filelist='' local_dense_model='' local_dense_opt_states=''
        local_sparse_model=() local_sparse_opt_states=() hdfs_model_home='' local_model_home='' * source=Local
        server='localhost'""",
}


def resolve(path: str) -> Any:
    value: Any = hugectr
    for part in path.split("."):
        value = getattr(value, part)
    return value


def show(default: Any) -> str:
    if isinstance(default, OrderedEnum):
        return default.name
    if isinstance(default, dict):
        return "{" + ",".join(f"{show(key)}:{value}" for key, value in default.items()) + "}"
    return repr(default)


def written(function: Any) -> list[str]:
    parts: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        required = parameter.default is parameter.empty or parameter.default is REQUIRED
        if name != "self":
            parts.append(name if required else f"{name}={show(parameter.default)}")
    return parts


@pytest.mark.parametrize("path", SIGNATURES)
def test_signature(path: str) -> None:
    assert written(resolve(path)) == SIGNATURES[path].split()


@pytest.mark.parametrize("path", SIGNATURES)
def test_documented_and_annotated(path: str) -> None:
    function = resolve(path)
    documentation = inspect.getdoc(function)
    assert documentation
    target = function.__init__ if inspect.isclass(function) else function
    parameters = [name for name in inspect.signature(function).parameters if name != "self"]
    assert set(inspect.unwrap(target).__annotations__) == {*parameters, "return"}
    if not path.startswith("Model.") and "." not in path:
        for name in parameters:
            assert name in documentation, f"{path} does not document {name}"


def test_version() -> None:
    assert len([int(part) for part in hugectr.__version__.split(".")]) == 3


def test_classes_win_over_enumeration_members() -> None:
    for name in SIGNATURES:
        assert not isinstance(getattr(hugectr, name.split(".")[0]), OrderedEnum)


def test_every_keyword_of_a_layer_is_an_argument_of_dense_layer() -> None:
    set_by_compile = {"loss_weight"}
    arguments = {*inspect.signature(hugectr.DenseLayer).parameters, "lambda", *set_by_compile}
    for layer in hugectr._core.layer_catalog():
        assert layer["name"] in hugectr.Layer_t.__members__
        for param in layer["params"]:
            assert param["keyword"] in arguments, f"{layer['name']}: {param['keyword']}"
