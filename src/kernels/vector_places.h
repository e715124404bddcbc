// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>

#include "base/host_device.h"
#include "base/tensor.h"

namespace ctr {

// Where the vectors of a tensor [..., dim] lie, by number: side by side, or so many in each of its runs.
class VectorPlaces {
 public:
  VectorPlaces() = default;
  explicit VectorPlaces(const Tensor& t) : dim_(narrowed(t.shape().last())) {
    if (t.is_packed()) return;
    const Tensor::Runs runs = t.runs();
    if (runs.length % dim_ != 0)
      fail(ErrorKind::internal, "tensor {} lies in runs of {}, kernel wants whole vectors",
           to_string(t.shape()), runs.length);
    per_run_ = static_cast<uint32_t>(runs.length / dim_);
    gap_ = narrowed(runs.stride - runs.length);
    inverse_ = per_run_ == 1 ? 0 : ~uint64_t{0} / per_run_ + 1;
  }

  // In elements, of the first element of vector i.
  CTR_HOST_DEVICE int64_t operator()(uint32_t i) const {
    const int64_t packed = int64_t{i} * dim_;
    return gap_ ? packed + int64_t{run_of(i)} * gap_ : packed;
  }
  // Where the vectors from i on no longer lie side by side.
  int64_t end_of_run(int64_t i) const {
    return gap_ ? (i / per_run_ + 1) * per_run_ : std::numeric_limits<int64_t>::max();
  }
  // Whether every vector begins at a multiple of n elements, if the first one does.
  bool begin_at_multiples(int64_t n) const { return dim_ % n == 0 && gap_ % n == 0; }

 private:
  CTR_HOST_DEVICE uint32_t run_of(uint32_t i) const {  // i / per_run, exactly, by one product
    if (inverse_ == 0) return i;
#ifdef __CUDA_ARCH__
    return static_cast<uint32_t>(__umul64hi(inverse_, i));
#else
    return static_cast<uint32_t>((static_cast<unsigned __int128>(inverse_) * i) >> 64);
#endif
  }

  static uint32_t narrowed(int64_t elements) {
    if (elements > std::numeric_limits<uint32_t>::max())
      fail(ErrorKind::internal, "kernel wants vectors less than 2^32 elements apart, got {}", elements);
    return static_cast<uint32_t>(elements);
  }

  uint64_t inverse_ = 0;
  uint32_t dim_ = 0, gap_ = 0;
  uint32_t per_run_ = 1;
};

}  // namespace ctr
