// SPDX-License-Identifier: Apache-2.0
#include "device/plugin.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/log.h"

namespace ctr {
namespace {

// Asked of the driver itself, so that nothing of CUDA has to be there. Libraries stay open.
bool driver_finds_gpu() {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!driver) return false;
  const auto init = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  const auto get_count = reinterpret_cast<int (*)(int*)>(dlsym(driver, "cuDeviceGetCount"));
  int count = 0;
  return init && get_count && init(0) == 0 && get_count(&count) == 0 && count > 0;
}

// The plug-in lies beside the core. Returns what went wrong, or nothing.
std::string load_cuda() {
  Dl_info self;
  if (!dladdr(reinterpret_cast<void*>(&default_backend), &self)) return "the core library has no path";
  const auto path = std::filesystem::path(self.dli_fname).parent_path() / "libhugectr_cuda.so";
  void* plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!plugin) return dlerror();
  const auto register_back_end = reinterpret_cast<void (*)()>(dlsym(plugin, "hugectr_register"));
  if (!register_back_end) return dlerror();
  register_back_end();
  return "";
}

Backend choose() {
  const char* variable = std::getenv("HUGECTR_DEVICE");
  const std::string wanted = variable ? variable : "";
  require(wanted.empty() || wanted == "cpu" || wanted == "cuda",
          "HUGECTR_DEVICE must be \"cpu\" or \"cuda\", got \"{}\"", wanted);
  if (wanted == "cpu") return Backend::cpu;
  if (!driver_finds_gpu()) {
    if (wanted == "cuda")
      fail(ErrorKind::device, "HUGECTR_DEVICE=cuda, but there is no driver that finds a GPU");
    return Backend::cpu;
  }
  const std::string problem = load_cuda();
  if (problem.empty()) return Backend::cuda;
  if (wanted == "cuda")
    fail(ErrorKind::device, "HUGECTR_DEVICE=cuda, but the back end does not load: {}", problem);
  log::warning("There is a GPU, but the CUDA back end does not load, so the CPU is used: {}", problem);
  return Backend::cpu;
}

}  // namespace

Backend default_backend() {
  static const Backend chosen = choose();
  return chosen;
}

}  // namespace ctr
