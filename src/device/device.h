// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace ctr {

enum class Backend : uint8_t { cpu, cuda };
inline constexpr int kNumBackends = 2;

struct Device {
  Backend backend = Backend::cpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};

inline std::string to_string(Device d) {
  return (d.backend == Backend::cpu ? "cpu:" : "cuda:") + std::to_string(d.index);
}

}  // namespace ctr
