// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/tensor.h"
#include "device/context.h"

namespace ctr {

[[noreturn]] void fail_no_kernel(std::string_view name, Device device, DType dtype);

template <class Signature>
class Kernel;

// One operation: one signature, one slot per (back end, dtype). The CPU slots are filled at compile time
// where the kernel is defined; a device back end fills its own when it is loaded. The dtype of the first
// tensor selects the slot. There is no silent fallback: an empty slot throws `unsupported` with names.
//
//   constinit Kernel<void(const Tensor& x, const Tensor& y)> relu{
//       "ReLU", {DType::f32, relu_cpu<float>}, {DType::bf16, relu_cpu<bf16>}};
template <class... Args>
class Kernel<void(const Tensor&, Args...)> {
 public:
  using Function = void (*)(Context&, const Tensor&, Args...);
  struct CpuSlot {
    constexpr CpuSlot() = default;
    constexpr CpuSlot(DType d, Function f) : dtype(d), function(f), given(true) {}
    DType dtype = DType::f32;
    Function function = nullptr;
    bool given = false;  // under UBSan, comparing a function with null is no constant expression
  };

  constexpr explicit Kernel(std::string_view name, CpuSlot a = {}, CpuSlot b = {}, CpuSlot c = {})
      : name_(name) {
    for (const CpuSlot& slot : {a, b, c})
      if (slot.given) set(Backend::cpu, slot.dtype, slot.function);
  }

  constexpr void set(Backend backend, DType dtype, Function function) {
    slots_[static_cast<int>(backend)][static_cast<int>(dtype)] = function;
  }
  bool has(Backend backend, DType dtype) const {
    return slots_[static_cast<int>(backend)][static_cast<int>(dtype)] != nullptr;
  }
  std::string_view name() const { return name_; }

  void operator()(Context& ctx, const Tensor& first, Args... args) const {
    const Function f = slots_[static_cast<int>(ctx.device.backend)][static_cast<int>(first.dtype())];
    if (!f) fail_no_kernel(name_, ctx.device, first.dtype());
    f(ctx, first, args...);
  }

 private:
  std::string_view name_;
  Function slots_[kNumBackends][kNumDTypes] = {};
};

}  // namespace ctr
