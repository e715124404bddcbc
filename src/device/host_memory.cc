// SPDX-License-Identifier: Apache-2.0
#include "device/host_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <utility>

#include "base/error.h"

namespace ctr {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

// The number behind `key` in a file of lines `key number`.
std::optional<int64_t> find_number(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  std::string word;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    if (int64_t number = 0; words >> word && word == key && words >> number) return number;
  }
  return std::nullopt;
}

// A file that holds one number; "max" is none.
std::optional<int64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  int64_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

struct GroupFiles {
  const char *limit, *used, *reclaimable;  // the last is a line of memory.stat
};
constexpr GroupFiles kVersion1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
constexpr GroupFiles kVersion2{"memory.max", "memory.current", "inactive_file"};

// What the group in `mount` + `group` and those around it leave. Inside a container, groups that are not
// there are those of the host; the mount itself is the container's.
int64_t left_in_groups(const std::string& mount, std::string group, const GroupFiles& files) {
  int64_t left = kUnlimited;
  while (true) {
    const std::string folder = mount + group + "/";
    const auto limit = read_number(folder + files.limit), used = read_number(folder + files.used);
    if (limit && used) {
      const int64_t cache = find_number(folder + "memory.stat", files.reclaimable).value_or(0);
      left = std::min(left, std::max<int64_t>(0, *limit - *used + cache));
    }
    if (group.empty()) return left;
    group.resize(group.rfind('/'));
  }
}

int64_t left_in_control_groups(const std::string& root) {
  int64_t left = kUnlimited;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // number:controllers:/group
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    std::string group = line.substr(second + 1);
    if (group.empty() || group == "/" || group[0] != '/') group.clear();
    if (controllers == ",,")
      left = std::min(left, left_in_groups(root + "/sys/fs/cgroup", group, kVersion2));
    else if (controllers.find(",memory,") != std::string::npos)
      left = std::min(left, left_in_groups(root + "/sys/fs/cgroup/memory", group, kVersion1));
  }
  return left;
}

}  // namespace

int64_t available_host_memory(const std::string& root) {
  constexpr int64_t kKiB = 1024;
  const std::string system = root + "/proc/meminfo";
  const auto available = find_number(system, "MemAvailable:");
  const int64_t swap = find_number(system, "SwapFree:").value_or(0);
  const int64_t left = available ? (*available + swap) * kKiB : kUnlimited;
  return std::min(left, left_in_control_groups(root));
}

bool grants_address_space(const std::vector<int64_t>& blocks) {
  std::vector<std::pair<void*, size_t>> granted;
  bool all = true;
  for (const int64_t block : blocks) {
    if (block == 0) continue;
    const auto bytes = static_cast<size_t>(block);
    void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    all = data != MAP_FAILED;
    if (!all) break;
    granted.emplace_back(data, bytes);
  }
  for (const auto& [data, bytes] : granted) munmap(data, bytes);
  return all;
}

}  // namespace ctr
