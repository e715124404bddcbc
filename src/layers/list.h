// SPDX-License-Identifier: Apache-2.0
#pragma once

// The table of contents of the layer library: X(layer, kernels). `layer` declares itself in layer##_layer();
// its kernels for a GPU are in layers/kernels.cu, register_##kernels##_cuda(), or `none` of its own.
#define CTR_LAYERS(X)                           \
  X(add, add)                                   \
  X(batch_norm, batch_norm)                     \
  X(binary_cross_entropy_loss, sigmoid_loss)    \
  X(cast, none)                                 \
  X(concat, none)                               \
  X(cross_entropy_loss, softmax_loss)           \
  X(dropout, dropout)                           \
  X(elu, pointwise)                             \
  X(elementwise_multiply, elementwise_multiply) \
  X(fm_order2, fm_order2)                       \
  X(fused_inner_product, inner_product)         \
  X(fused_reshape_concat, none)                 \
  X(fused_reshape_concat_general, none)         \
  X(gru, gru)                                   \
  X(gather, none)                               \
  X(inner_product, inner_product)               \
  X(interaction, interaction)                   \
  X(layer_norm, layer_norm)                     \
  X(mlp, inner_product)                         \
  X(matrix_multiply, none)                      \
  X(multi_cross, multi_cross)                   \
  X(multi_cross_entropy_loss, sigmoid_loss)     \
  X(multi_head_attention, none)                 \
  X(prelu_dice, prelu_dice)                     \
  X(relu, pointwise)                            \
  X(reduce_mean, none)                          \
  X(reduce_sum, none)                           \
  X(reshape, none)                              \
  X(scale, none)                                \
  X(select, none)                               \
  X(sequence_mask, sequence_mask)               \
  X(sigmoid, pointwise)                         \
  X(slice, none)                                \
  X(softmax, none)                              \
  X(sub, sub)                                   \
  X(weight_multiply, weight_multiply)
