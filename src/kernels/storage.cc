// SPDX-License-Identifier: Apache-2.0
#include "kernels/storage.h"

#include "base/vectorize.h"

namespace ctr {
namespace {

template <bool kAccumulate, class From, class To>
inline __attribute__((always_inline)) void store_run(const From* from, int64_t n, To* to) {
  for (int64_t i = 0; i < n; ++i) store<kAccumulate>(to[i], to_float(from[i]));
}

}  // namespace

CTR_VECTORIZE void copy_as(const float* from, int64_t n, bf16* to) { store_run<false>(from, n, to); }
CTR_VECTORIZE void copy_as(const bf16* from, int64_t n, float* to) { store_run<false>(from, n, to); }
CTR_VECTORIZE void add_as(const float* from, int64_t n, float* to) { store_run<true>(from, n, to); }
CTR_VECTORIZE void add_as(const float* from, int64_t n, bf16* to) { store_run<true>(from, n, to); }
CTR_VECTORIZE void add_as(const bf16* from, int64_t n, bf16* to) { store_run<true>(from, n, to); }

}  // namespace ctr
