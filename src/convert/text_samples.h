// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "convert/criteo.h"

namespace ctr {

// Samples of equal length in text, a line each: `floats` decimal numbers, then `keys` whole ones up to
// `max_key`.
struct SampleText {
  size_t floats, keys;
  uint32_t max_key;
};

// Some samples in a row.
struct Samples {
  std::vector<float> floats;   // [count, floats of a sample]
  std::vector<uint32_t> keys;  // [count, keys of a sample]
  size_t count = 0;
};

// Reads a text front to back in bounded memory, its lines on several threads.
class TextSamples {
 public:
  TextSamples(const FileSystem& files, const std::string& path, SampleText form,
              const Conversion& conversion);

  // The samples that follow, in parts that follow each other; nothing in any of them at the end. The last
  // line may lack its end.
  const std::vector<Samples>& next();

 private:
  struct Fault {
    int64_t line = 0;  // of its part, from 1; 0: none
    std::string what;
  };

  std::string_view read_lines();
  std::vector<std::string_view> split(std::string_view text) const;
  void parse(std::string_view text, Samples& samples, Fault& fault) const;
  std::string parse_line(std::string_view line, float* floats, uint32_t* keys) const;

  SampleText form_;
  const Conversion& conversion_;
  std::unique_ptr<RandomAccessFile> file_;
  std::vector<char> block_;
  size_t used_ = 0, filled_ = 0;  // bytes of the block
  int64_t offset_ = 0, lines_ = 0;
  std::vector<Samples> parts_;
  std::vector<Fault> faults_;
};

}  // namespace ctr
