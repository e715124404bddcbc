// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "data/batch.h"
#include "model/spec.h"

namespace ctr {

// Looks, in the first batches of a training, for keys that several slots of a localized embedding share: such
// a key has a row on each rank that has one of its slots, so that results depend on the number of ranks.
class SlotKeys {
 public:
  explicit SlotKeys(const ModelSpec& spec);
  // Warns once an embedding.
  void look(const Batch& batch);

 private:
  struct Watched {
    std::string embedding;
    size_t input;
    std::unordered_map<int64_t, int64_t> slots;  // of keys
  };
  static bool find_shared(Watched& watched, const CsrKeys& keys);

  std::vector<Watched> watched_;
  int64_t batches_ = 0;
};

}  // namespace ctr
