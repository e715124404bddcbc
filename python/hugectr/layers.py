# SPDX-License-Identifier: Apache-2.0
"""What a model is made of: input, sparse embeddings, dense layers and losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional, Union

from hugectr import _core, idle
from hugectr.arguments import REQUIRED, Record, converted
from hugectr.compat import forms
from hugectr.enums import (
    Activation_t,
    CommunicationType,
    Embedding_t,
    FcPosition_t,
    GroupLayer_t,
    HybridEmbeddingType,
    Initializer_t,
    Layer_t,
    Regularizer_t,
)
from hugectr.errors import InvalidArgumentError
from hugectr.initializer import Initializer
from hugectr.opt_params import OptParamsPy
from hugectr.reader import DataReaderParams, DataReaderSparseParam


class Input(Record):
    """Names and sizes of what a data set delivers; the first thing a model gets.

    Args:
        label_dim: Columns of the label, or of each label in a list (also spelled ``label_dims``).
        label_name: Name of the label, or of each label (also spelled ``label_names``). The labels' columns follow
            each other in the data in this order.
        dense_dim: Number of dense (continuous) features; may be 0.
        dense_name: Name of the dense input, of shape [batch, dense_dim].
        data_reader_sparse_param_array: The sparse inputs, in the order of the data set's slots.
        label_weights: Factor of each label's loss; third when passed by position.
        sparse_names: Names of the sparse inputs that have none of their own, as in releases 2.3 and 3.0.
        reader_params: The data set, which release 3.0 described here (with its own arguments, see the guide).

    Raises:
        InvalidArgumentError: Lengths differ, a size is out of range or a name occurs twice.
    """

    @converted(aliases={"label_dims": "label_dim", "label_names": "label_name"}, adapt=forms.input_of_3_0)
    def __init__(
        self,
        label_dim: Union[int, Sequence[int]],
        label_name: Union[str, Sequence[str]],
        dense_dim: int,
        dense_name: str,
        data_reader_sparse_param_array: Sequence[DataReaderSparseParam],
        *,
        label_weights: Optional[Sequence[float]] = None,
        sparse_names: Sequence[str] = (),
        reader_params: Optional[DataReaderParams] = None,
    ) -> None:
        sparse = [*data_reader_sparse_param_array]
        if sparse_names:
            if len(sparse_names) != len(sparse):
                raise InvalidArgumentError(f"Input(): {len(sparse_names)} sparse_names for {len(sparse)} sparse inputs")
            sparse = [param.named(name) for param, name in zip(sparse, sparse_names)]
        dims = [label_dim] if isinstance(label_dim, int) else list(label_dim)
        names = [label_name] if isinstance(label_name, str) else list(label_name)
        weights = [1.0] * len(names) if label_weights is None else list(label_weights)
        if not len(dims) == len(names) == len(weights) > 0:
            raise InvalidArgumentError(
                f"Input(): {len(names)} label names, {len(dims)} label dims and {len(weights)} label weights"
            )
        if min(dims) < 1 or dense_dim < 0:
            raise InvalidArgumentError(
                f"Input(): label_dim {dims} and dense_dim {dense_dim} must not be negative or empty"
            )
        tensors = [*names, dense_name, *(param.top_name for param in sparse)]
        if "" in tensors[len(names) + 1 :] or "" in names:
            raise InvalidArgumentError("Input(): every label and every sparse input needs a name")
        if repeated := {name for name in tensors if tensors.count(name) > 1}:
            raise InvalidArgumentError(f"Input(): name used twice: {', '.join(sorted(repeated))}")
        self.__dict__.update(
            label_dim=dims, label_name=names, label_weights=weights, data_reader_sparse_param_array=sparse
        )


class HybridEmbeddingParam(Record):
    """Settings of the hybrid embedding.

    Args:
        max_num_frequent_categories: Most frequent categories, in batches.
        max_num_infrequent_samples: Most infrequent samples, in batches; -1 means no limit.
        p_dup_max: Highest probability that a category repeats within a device's batch.
        max_all_reduce_bandwidth: All-reduce bandwidth in bytes per second.
        max_all_to_all_bandwidth: All-to-all bandwidth in bytes per second.
        efficiency_bandwidth_ratio: Weight of the two bandwidths in choosing frequent categories.
        communication_type: Links between the devices.
        hybrid_embedding_type: Kind of hybrid embedding.
        use_train_precompute_indices, use_eval_precompute_indices: Seventh and eighth argument in releases 3.3 to 3.8.
    """

    @converted(adapt=forms.precompute_before_types)
    def __init__(
        self,
        max_num_frequent_categories: int,
        max_num_infrequent_samples: int,
        p_dup_max: float,
        max_all_reduce_bandwidth: float,
        max_all_to_all_bandwidth: float,
        efficiency_bandwidth_ratio: float,
        communication_type: CommunicationType,
        hybrid_embedding_type: HybridEmbeddingType,
        *,
        use_train_precompute_indices: bool = False,
        use_eval_precompute_indices: bool = False,
    ) -> None:
        pass


class SparseEmbedding(Record):
    """Turns the keys of a sparse input into vectors, [batch, slots, embedding_vec_size], one per slot.

    Args:
        embedding_type: Distributed (rows spread over devices by key), localized (whole slots per device), or
            localized one-hot (one key per slot, rows addressed directly, no hashing).
        workspace_size_per_gpu_in_mb: Memory of one device for rows and their optimizer state, in MiB. It bounds the
            number of distinct keys. Not needed where `slot_size_array` tells the number of rows.
        embedding_vec_size: Length of a vector, 1 to 1024.
        combiner: How the vectors of one slot's keys become one: ``"sum"`` or ``"mean"``.
        sparse_embedding_name: Name of the output.
        bottom_name: Name of the sparse input.
        slot_size_array: Number of distinct keys of each slot (localized types).
        optimizer: Optimizer of this embedding; unset means the model's.
        hybrid_embedding_param: Settings of ``HybridSparseEmbedding``.
        initializer: Rows of keys that training has not met before. The default is uniform within 0.05, in one-hot
            embeddings within 1 / sqrt(keys of the slot). Xavier needs a `slot_size_array`; ``Sinusoidal`` takes keys
            for positions.
        max_vocabulary_size_per_gpu: Rows of one device, which releases 2.3 and 3.0 have instead of megabytes.

    Raises:
        InvalidArgumentError: A number is out of range, or the combiner is unknown.
    """

    @converted(adapt=forms.embedding_of_3_0)
    def __init__(
        self,
        embedding_type: Embedding_t,
        workspace_size_per_gpu_in_mb: int = 0,
        embedding_vec_size: int = REQUIRED,
        combiner: str = REQUIRED,
        sparse_embedding_name: str = REQUIRED,
        bottom_name: str = REQUIRED,
        slot_size_array: Sequence[int] = (),
        optimizer: Optional[OptParamsPy] = None,
        hybrid_embedding_param: Optional[HybridEmbeddingParam] = None,
        *,
        initializer: Union[Initializer_t, Initializer] = Initializer_t.Default,
        max_vocabulary_size_per_gpu: int = 0,
    ) -> None:
        where = f'SparseEmbedding "{sparse_embedding_name}"'
        _core.check_vector_size(where, embedding_vec_size)
        if combiner not in ("sum", "mean"):
            raise InvalidArgumentError(f'{where}: combiner must be "sum" or "mean", got "{combiner}"')
        if any(size < 0 for size in slot_size_array):
            raise InvalidArgumentError(f"{where}: slot_size_array has a negative size: {slot_size_array}")
        if max_vocabulary_size_per_gpu < 0:
            raise InvalidArgumentError(
                f"{where}: max_vocabulary_size_per_gpu must not be negative, got {max_vocabulary_size_per_gpu}"
            )
        enough = workspace_size_per_gpu_in_mb or slot_size_array or max_vocabulary_size_per_gpu
        if workspace_size_per_gpu_in_mb < 0 or not enough:
            raise InvalidArgumentError(
                f"{where}: needs a positive workspace_size_per_gpu_in_mb or a slot_size_array, "
                f"got {workspace_size_per_gpu_in_mb} MiB"
            )


class DenseLayerSwitchs(Record):
    """Fusion switch of a dense layer; it changes no result.

    Args:
        fuse_wb: Whether weights and bias are stored together.
    """

    @converted()
    def __init__(self, fuse_wb: bool = False) -> None:
        pass


class DenseLayer(Record):
    """A dense layer or a loss. Keywords that a layer does not take have no effect and get a warning.

    Args:
        layer_type: Kind of layer.
        bottom_names: Input tensors (one name may stand without a list). A tensor may feed any number of layers.
        top_names: Output tensors.
        factor: BatchNorm: weight of the new batch in the running statistics. Scale: number of repetitions. Softmax:
            factor of the logits.
        eps: Added to the variance (BatchNorm, LayerNorm, PReLU_Dice).
        gamma_init_type: Initial scale of BatchNorm and LayerNorm.
        beta_init_type: Initial offset of BatchNorm and LayerNorm.
        dropout_rate: Dropout: probability of dropping an element; survivors are scaled by 1 / (1 - rate).
        elu_alpha: ELU, PReLU_Dice: slope or saturation on the negative side.
        num_output: InnerProduct, FusedInnerProduct, GRU: outputs per sample.
        weight_init_type: Initial weights; an :class:`Initializer` where there is a number to it.
        bias_init_type: Initial bias.
        num_layers: MultiCross: number of cross layers.
        leading_dim: Reshape: last dimension of the output; left out, all elements of a sample.
        time_step: Reshape: second dimension of a three-dimensional output; 0 gives two dimensions.
        batchsize, SeqLength, vector_size: GRU: shape of its input.
        selected: Reshape: whether to pick slots instead.
        selected_slots: Reshape: the slots to pick.
        ranges: Slice: half-open column ranges ``(begin, end)``, one per output; they may overlap.
        indices: Gather: rows to take.
        weight_dims: WeightMultiply: ``[slots, vector]``.
        out_dim: FmOrder2: length of a latent vector.
        axis: ReduceSum, ReduceMean, Concat, Scale: dimension to work along.
        target_weight_vec: MultiCrossEntropyLoss: weight of each label column; empty means 1.
        use_regularizer: Losses: whether all weights are penalised.
        regularizer_type: Losses: L1 or L2 penalty.
        lambda_: Losses: factor of the penalty (also spelled ``regularizer_lambda``, or ``**{"lambda": value}``).
        pos_type: FusedInnerProduct: place in its tower; it changes no result.
        act_type: FusedInnerProduct: activation. MLP: activation of all its layers.
        dense_layer_switches: Fusion; changes no result (also spelled ``compute_config``).
        projection_dim: MultiCross: width of its projection (DCN-v2); 0 means none.
        num_outputs: MLP: outputs of each of its layers per sample.
        use_bias: MLP: whether its layers add a bias.
        activations: MLP: activation of each layer, in the place of `act_type`.
        biases: MLP: whether each layer adds a bias, in the place of `use_bias`.
        max_sequence_len_from, max_sequence_len_to: SequenceMask: positions of queries and of keys.
        dim: Select: dimension to choose along.
        index: Select: what to choose, in output order.
        num_attention_heads: MultiHeadAttention: heads, which divide the width.
        shape: Reshape: all dimensions of the output, one of them -1, in place of `leading_dim` and `time_step`.

    Raises:
        TypeError: An argument is unknown or has the wrong type.
    """

    @converted(aliases={"lambda": "lambda_", "regularizer_lambda": "lambda_", "compute_config": "dense_layer_switches"})
    def __init__(
        self,
        layer_type: Layer_t,
        bottom_names: Union[str, Sequence[str]],
        top_names: Union[str, Sequence[str]],
        factor: float = 1.0,
        eps: float = 1e-5,
        gamma_init_type: Union[Initializer_t, Initializer] = Initializer_t.Default,
        beta_init_type: Union[Initializer_t, Initializer] = Initializer_t.Default,
        dropout_rate: float = 0.5,
        elu_alpha: float = 1.0,
        num_output: int = 1,
        weight_init_type: Union[Initializer_t, Initializer] = Initializer_t.Default,
        bias_init_type: Union[Initializer_t, Initializer] = Initializer_t.Default,
        num_layers: int = 0,
        leading_dim: int = 1,
        time_step: int = 0,
        batchsize: int = 1,
        SeqLength: int = 1,
        vector_size: int = 1,
        selected: bool = False,
        selected_slots: Sequence[int] = (),
        ranges: Sequence[tuple[int, int]] = (),
        indices: Sequence[int] = (),
        weight_dims: Sequence[int] = (),
        out_dim: int = 0,
        axis: int = 1,
        target_weight_vec: Sequence[float] = (),
        use_regularizer: bool = False,
        regularizer_type: Regularizer_t = Regularizer_t.L1,
        lambda_: float = 0.0,
        pos_type: FcPosition_t = FcPosition_t.Non,
        act_type: Activation_t = Activation_t.Relu,
        dense_layer_switches: Optional[DenseLayerSwitchs] = None,
        projection_dim: int = 0,
        num_outputs: Sequence[int] = (),
        use_bias: bool = True,
        activations: Sequence[Activation_t] = (),
        biases: Sequence[bool] = (),
        max_sequence_len_from: int = 1,
        max_sequence_len_to: int = 1,
        dim: int = 0,
        index: Sequence[int] = (),
        num_attention_heads: int = 1,
        shape: Sequence[int] = (),
    ) -> None:
        for name in ("bottom_names", "top_names"):
            names = getattr(self, name)
            self.__dict__[name] = [names] if isinstance(names, str) else names
            if not getattr(self, name):
                raise InvalidArgumentError(f"DenseLayer({layer_type.name}): {name} is empty")
        if layer_type is Layer_t.Reshape and not selected and leading_dim < 1:
            raise InvalidArgumentError(
                f'DenseLayer "{self.top_names[0]}": leading_dim must be positive, got {leading_dim}'
            )
        if not use_regularizer:
            penalty = {"lambda_": lambda_ != 0, "regularizer_type": regularizer_type is not Regularizer_t.L1}
            given = [name for name, is_given in penalty.items() if is_given]
            idle.warn(f'DenseLayer "{self.top_names[0]}"', given, "without use_regularizer=True")


class GroupDenseLayer(Record):
    """A tower of FusedInnerProduct layers, each feeding the next.

    Args:
        group_layer_type: ``GroupLayer_t.GroupFusedInnerProduct``.
        bottom_name_list: One or two inputs of the first layer (also spelled ``bottom_name``).
        top_name_list: Output of each layer, two at least.
        num_outputs: Outputs of each layer per sample.
        last_act_type: Activation of the last layer; the others use ReLU.

    Raises:
        InvalidArgumentError: The numbers of inputs, names and sizes do not fit.
    """

    @converted(aliases={"bottom_name": "bottom_name_list"})
    def __init__(
        self,
        group_layer_type: GroupLayer_t,
        bottom_name_list: Union[str, Sequence[str]],
        top_name_list: Sequence[str],
        num_outputs: Sequence[int],
        last_act_type: Activation_t = Activation_t.Relu,
    ) -> None:
        bottoms = [bottom_name_list] if isinstance(bottom_name_list, str) else list(bottom_name_list)
        if len(bottoms) not in (1, 2):
            raise InvalidArgumentError(f"GroupDenseLayer(): needs one or two bottoms, got {bottoms}")
        if len(top_name_list) != len(num_outputs) or len(top_name_list) < 2:
            raise InvalidArgumentError(
                f"GroupDenseLayer(): needs two or more layers with a name and a size each, "
                f"got {len(top_name_list)} names and {len(num_outputs)} sizes"
            )
        self.__dict__["bottom_name_list"] = bottoms

    def layers(self) -> list[DenseLayer]:
        """The layers this tower stands for."""
        bottoms = [self.bottom_name_list, *([top] for top in self.top_name_list)]
        last = len(self.num_outputs) - 1
        return [
            DenseLayer(
                layer_type=Layer_t.FusedInnerProduct,
                bottom_names=bottoms[i],
                top_names=[top],
                num_output=num_output,
                act_type=self.last_act_type if i == last else Activation_t.Relu,
            )
            for i, (top, num_output) in enumerate(zip(self.top_name_list, self.num_outputs))
        ]
