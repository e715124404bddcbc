// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "io/file_system.h"

namespace ctr {

// Converters of preprocessed Criteo text: a line a sample, with a label, 13 dense values, then ids, between
// single blanks or tabs. Errors name file, line and column. What is written appears as a whole or not at all.

struct Conversion {
  int threads = 1;
  // Called now and then, with what has been read and all there is.
  std::function<void(int64_t bytes, int64_t of)> progress = [](int64_t, int64_t) {};
};

struct Converted {
  int64_t samples = 0;
  int64_t files = 0;  // of samples
  int64_t keys = 0;   // distinct ones; 0 where nobody counted them
};

// A Raw file with float labels and dense values: per sample a label, 13 dense values, 26 keys of 32 bits.
Converted criteo_to_raw(const FileSystem& files, const std::string& text, const std::string& raw,
                        const Conversion& conversion);

struct NormTarget {
  std::string prefix;          // files are <prefix>0.data, <prefix>1.data, ...
  std::string file_list;       // its name; a keyset lies beside it
  int64_t wide_keys = 0;       // where positive, so many ids before the other 26 are the keys of slot 0
  int64_t files_per_list = 0;  // where positive, lists are <name>.0.<ending>, <name>.1.<ending>, ...
};

// A Norm data set with check bytes and 32-bit keys: files of 40,960 samples, and for each list its keys in
// the order in which they come first.
Converted criteo_to_norm(const FileSystem& files, const std::string& text, const NormTarget& target,
                         const Conversion& conversion);

}  // namespace ctr
