// SPDX-License-Identifier: Apache-2.0
#include "device/plugin.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fork.h"
#include "base/log.h"
#include "build_name.h"

namespace ctr {
namespace {

// Asked of the driver itself, so that nothing of CUDA has to be there: the compute capability of the newest
// GPU times ten; 0 where there is none. Libraries stay open.
int newest_gpu() {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!driver) return 0;
  const auto init = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  const auto get_count = reinterpret_cast<int (*)(int*)>(dlsym(driver, "cuDeviceGetCount"));
  const auto get_device = reinterpret_cast<int (*)(int*, int)>(dlsym(driver, "cuDeviceGet"));
  const auto get_attribute = reinterpret_cast<int (*)(int*, int, int)>(dlsym(driver, "cuDeviceGetAttribute"));
  if (!init || !get_count || !get_device || !get_attribute) return 0;
  constexpr int kMajor = 75, kMinor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
  int count = 0, newest = 0;
  if (init(0) != 0 || get_count(&count) != 0) return 0;
  for (int i = 0; i < count; ++i) {
    int device = 0, major = 0, minor = 0;
    if (get_device(&device, i) == 0 && get_attribute(&major, kMajor, device) == 0 &&
        get_attribute(&minor, kMinor, device) == 0)
      newest = std::max(newest, 10 * major + minor);
  }
  return newest;
}

template <class T>
T* find(void* plugin, const char* name) {
  return reinterpret_cast<T*>(dlsym(plugin, name));
}

// The plug-in lies beside the core. Returns what went wrong, or nothing.
std::string load_cuda(int gpu) {
  Dl_info self;
  if (!dladdr(reinterpret_cast<void*>(&default_backend), &self)) return "the core library has no path";
  const auto path = std::filesystem::path(self.dli_fname).parent_path() / "libhugectr_cuda.so";
  void* plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!plugin) return dlerror();
  const auto* build = find<const char>(plugin, "hugectr_build");
  const auto* oldest = find<const int>(plugin, "hugectr_oldest_gpu");
  const auto register_back_end = find<void()>(plugin, "hugectr_register");
  if (!build || !oldest || !register_back_end)
    return fmt::format("{} is no plug-in of this version", path.native());
  if (std::string_view(build) != CTR_BUILD)
    return fmt::format("{} is of build {}, the core of build {}: install both from one build", path.native(),
                       build, CTR_BUILD);
  if (gpu < *oldest)
    return fmt::format(
        "it is built for compute capability {}.{} and newer, the GPU has {}.{}: build it with "
        "-DHUGECTR_CUDA_ARCHITECTURES={}",
        *oldest / 10, *oldest % 10, gpu / 10, gpu % 10, gpu);
  register_back_end();
  return "";
}

struct Choice {
  Backend backend = Backend::cpu;
  int process = fork_count();
};

Choice choose() {
  const char* variable = std::getenv("HUGECTR_DEVICE");
  const std::string wanted = variable ? variable : "";
  require(wanted.empty() || wanted == "cpu" || wanted == "cuda",
          "HUGECTR_DEVICE must be \"cpu\" or \"cuda\", got \"{}\"", wanted);
  if (wanted == "cpu") return {};
  const int gpu = newest_gpu();
  if (gpu == 0) {
    if (wanted == "cuda")
      fail(ErrorKind::device, "HUGECTR_DEVICE=cuda, but there is no driver that finds a GPU");
    return {};
  }
  const std::string problem = load_cuda(gpu);
  if (problem.empty()) return {Backend::cuda};
  if (wanted == "cuda")
    fail(ErrorKind::device, "HUGECTR_DEVICE=cuda, but the back end does not load: {}", problem);
  log::warning("There is a GPU, but the CUDA back end does not load, so the CPU is used: {}", problem);
  return {};
}

}  // namespace

Backend default_backend() {
  static const Choice chosen = choose();
  if (chosen.backend == Backend::cuda && chosen.process != fork_count())
    fail(ErrorKind::device,
         "this process was forked from one that uses a GPU, and CUDA does not survive a fork: start it with "
         "multiprocessing's \"spawn\" method, or fork before the first model");
  return chosen.backend;
}

}  // namespace ctr
