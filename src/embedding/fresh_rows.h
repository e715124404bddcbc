// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/random.h"
#include "embedding/embedding.h"
#include "layers/initializer.h"
#include "layers/sinusoidal.h"

namespace ctr {

// Where the rows of unseen keys come from: without another initializer, uniform in (-0.05, 0.05], in one-hot
// embeddings with a bound of 1 / sqrt(keys of the slot). Throws invalid_argument where the number of keys is
// needed and not known.
Initializer fresh_rows(const EmbeddingSpec& spec, int64_t slot);

// The same, worked out once.
class FreshRows {
 public:
  explicit FreshRows(const EmbeddingSpec& spec);
  const Initializer& of(int64_t slot) const {
    return by_slot_[by_slot_.size() == 1 ? 0 : static_cast<size_t>(slot)];
  }

 private:
  std::vector<Initializer> by_slot_;  // or one for all
};

// One of the two standard normals that two draws make (Box-Muller), in double: initialisation only.
CTR_HOST_DEVICE inline float to_normal(uint32_t a, uint32_t b, bool second) {
  const double r = ::sqrt(-2.0 * ::log((static_cast<double>(a) + 1.0) * 0x1p-32));
  const double angle = 6.283185307179586 * (static_cast<double>(b) * 0x1p-32);
  return static_cast<float>(r * (second ? ::sin(angle) : ::cos(angle)));
}

// Element `column` of a key's row of `dim`, from the four draws of its block.
CTR_HOST_DEVICE inline float fresh_element(const Initializer& init, const Random4& draws, int64_t key,
                                           int64_t column, int64_t dim) {
  const int64_t k = column % 4;
  switch (init.kind) {
    case Initializer::Kind::uniform: return to_uniform(draws.v[k], init.a);
    case Initializer::Kind::normal:
      return init.a * to_normal(draws.v[k - k % 2], draws.v[k - k % 2 + 1], k % 2 == 1);
    case Initializer::Kind::sinusoidal: return sinusoidal(key, column, dim);
    case Initializer::Kind::constant: break;
  }
  return init.a;
}

}  // namespace ctr
