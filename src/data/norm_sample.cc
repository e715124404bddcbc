// SPDX-License-Identifier: Apache-2.0
#include "data/norm_sample.h"

#include "io/byte_stream.h"

namespace ctr {
namespace {

NormSample defect(NormSample::Defect kind, size_t slot = 0, int64_t value = 0) {
  return {kind, 0, static_cast<int64_t>(slot), value};
}

}  // namespace

template <class Key>
NormSample parse_norm_sample(const std::byte* begin, const std::byte* end, BatchWriter& batch) {
  const SampleLayout& layout = batch.layout();
  const size_t label_bytes = sizeof(float) * static_cast<size_t>(layout.label_dim);
  const size_t dense_bytes = sizeof(float) * static_cast<size_t>(layout.dense_dim);
  if (static_cast<size_t>(end - begin) < label_bytes + dense_bytes) return defect(NormSample::truncated);
  std::memcpy(batch.labels(), begin, label_bytes);
  if (dense_bytes > 0) std::memcpy(batch.dense(), begin + label_bytes, dense_bytes);
  const std::byte* p = begin + label_bytes + dense_bytes;

  size_t slot = 0;
  for (size_t input = 0; input < layout.inputs.size(); ++input) {
    int64_t* offsets = batch.offsets(input);
    const int64_t first = offsets[0], room = layout.inputs[input].max_keys;
    const bool may_be_too_many = layout.inputs[input].declared_keys > room;
    int64_t used = first;
    bool is_full = true;  // every slot has as many keys as declared: nothing else needs a look
    for (const size_t last = slot + static_cast<size_t>(layout.inputs[input].slots); slot < last; ++slot) {
      const SlotRule& rule = layout.slots[slot];
      if (end - p < 4) [[unlikely]]
        return defect(NormSample::truncated);
      const int64_t nnz = load<int32_t>(p);
      p += 4;
      is_full &= nnz == rule.nnz;
      if ((!is_full || may_be_too_many) && (nnz < 0 || nnz > rule.max_nnz || used - first + nnz > room))
          [[unlikely]]
        return defect(NormSample::bad_nnz, slot,
                      layout.inputs[input].slots_share_it ? used - first + nnz : nnz);
      if (end - p < nnz * static_cast<int64_t>(sizeof(Key))) [[unlikely]]
        return defect(NormSample::truncated);
      int64_t* keys = batch.keys(input, used + nnz) + used;
      for (int64_t k = 0; k < nnz; ++k, p += sizeof(Key)) {
        keys[k] = static_cast<int64_t>(load<Key>(p));
        if (keys[k] > rule.max_key) [[unlikely]]
          return defect(NormSample::bad_key, slot, keys[k]);
      }
      used += nnz;
      *++offsets = used;
    }
    if (!is_full) batch.is_not_full(input);
  }
  return {NormSample::none, p - begin, 0, 0};
}

template NormSample parse_norm_sample<uint32_t>(const std::byte*, const std::byte*, BatchWriter&);
template NormSample parse_norm_sample<int64_t>(const std::byte*, const std::byte*, BatchWriter&);

size_t norm_sample_bytes(const SampleLayout& layout, bool i64_keys) {
  const auto fixed = 4 * (layout.label_dim + layout.dense_dim + layout.total_slots());
  return static_cast<size_t>(fixed + layout.max_keys() * (i64_keys ? 8 : 4));
}

}  // namespace ctr
