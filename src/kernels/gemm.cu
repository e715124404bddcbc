// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm.h"

#include <cublasLt.h>

#include <map>

#include "device/cuda.cuh"
#include "kernels/convert.h"
#include "kernels/thin_gemm.cuh"

namespace ctr {
namespace {

void check(cublasStatus_t status, std::string_view what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    fail(ErrorKind::device, "cuBLASLt: {}: {}", what, cublasLtGetStatusString(status));
}

// A handle of the library that destroys itself.
template <class Handle, cublasStatus_t (*kDestroy)(Handle)>
class Owned {
 public:
  Owned() = default;
  ~Owned() {
    if (handle_) kDestroy(handle_);
  }
  Owned(const Owned&) = delete;
  Handle* out() { return &handle_; }
  operator Handle() const { return handle_; }  // NOLINT(google-explicit-constructor): used as the handle

 private:
  Handle handle_ = nullptr;
};

cudaDataType_t type_of(DType t) {
  switch (t) {
    case DType::f16: return CUDA_R_16F;
    case DType::bf16: return CUDA_R_16BF;
    default: return CUDA_R_32F;
  }
}

// The library thinks in columns: our c[m, n] = a b is its c'[n, m] = b' a'.
struct Problem {
  int64_t m, n, k;
  DType in, out;
  bool transpose_a, transpose_b, accumulate, bias, relu, tf32;
  int alignment;  // of all pointers and row lengths, up to 16 bytes
  auto operator<=>(const Problem&) const = default;
};

int alignment_of(const Tensor& a, const Tensor& b, const Tensor& c, const Tensor& bias) {
  uintptr_t bits = 16 | reinterpret_cast<uintptr_t>(bias.raw());
  for (const Tensor* t : {&a, &b, &c})
    bits |= reinterpret_cast<uintptr_t>(t->raw()) |
            static_cast<uintptr_t>(t->shape().last()) * size_of(t->dtype());
  return static_cast<int>(bits & -bits);
}

Problem describe(const Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c,
                 const GemmOptions& o) {
  const Problem p{.m = c.shape().rows(),
                  .n = c.shape().last(),
                  .k = o.transpose_a ? a.shape().rows() : a.shape().last(),
                  .in = a.dtype(),
                  .out = c.dtype(),
                  .transpose_a = o.transpose_a,
                  .transpose_b = o.transpose_b,
                  .accumulate = o.accumulate,
                  .bias = static_cast<bool>(o.bias),
                  .relu = o.relu,
                  .tf32 = ctx.tf32,
                  .alignment = alignment_of(a, b, c, o.bias)};
  const int64_t m = o.transpose_a ? a.shape().last() : a.shape().rows();
  const int64_t n = o.transpose_b ? b.shape().rows() : b.shape().last();
  const int64_t k = o.transpose_b ? b.shape().last() : b.shape().rows();
  if (m != p.m || n != p.n || k != p.k || b.dtype() != p.in || (o.bias && o.bias.dtype() != p.out))
    fail(ErrorKind::internal, "gemm: {}{} times {}{} into {}", to_string(a.shape()),
         o.transpose_a ? "^T" : "", to_string(b.shape()), o.transpose_b ? "^T" : "", to_string(c.shape()));
  return p;
}

// Descriptors and the chosen algorithm of one problem.
class Product {
 public:
  Product(cublasLtHandle_t library, const Problem& p) {
    const auto compute = p.in == DType::f32 && p.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    check(cublasLtMatmulDescCreate(operation_.out(), compute, CUDA_R_32F), "describing a product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, p.bias && p.relu ? CUBLASLT_EPILOGUE_RELU_BIAS
                                       : p.bias         ? CUBLASLT_EPILOGUE_BIAS
                                       : p.relu         ? CUBLASLT_EPILOGUE_RELU
                                                        : CUBLASLT_EPILOGUE_DEFAULT);
    layout(a_, p.in, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k);
    layout(b_, p.in, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n);
    layout(c_, p.out, p.m, p.n);
    choose(library, p);
  }

  void run(cublasLtHandle_t library, cuda::Stream& stream, const Tensor& a, const Tensor& b, const Tensor& c,
           const GemmOptions& o) {
    if (o.bias) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(o.bias.raw()));
    const float one = 1, beta = o.accumulate ? 1 : 0;
    check(cublasLtMatmul(library, operation_, &one, b.raw(), b_, a.raw(), a_, &beta, c.raw(), c_, c.raw(), c_,
                         &algorithm_, stream.workspace<void>(), cuda::Stream::kWorkspaceBytes, stream.get()),
          "multiplying");
  }

 private:
  using Operation = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
  using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;

  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, T value) {
    check(cublasLtMatmulDescSetAttribute(operation_, attribute, &value, sizeof(value)),
          "describing a product");
  }
  static void layout(Layout& l, DType t, int64_t rows, int64_t columns) {
    check(cublasLtMatrixLayoutCreate(l.out(), type_of(t), static_cast<uint64_t>(columns),
                                     static_cast<uint64_t>(rows), columns),
          "describing a matrix");
  }

  void choose(cublasLtHandle_t library, const Problem& p) {
    Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> preference;
    check(cublasLtMatmulPreferenceCreate(preference.out()), "choosing an algorithm");
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
      check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)),
            "choosing an algorithm");
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, cuda::Stream::kWorkspaceBytes);
    // Parts of a sum are added in the workspace, in order: the same bits every time.
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    for (const auto matrix :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      prefer(matrix, static_cast<uint32_t>(p.alignment));
    cublasLtMatmulHeuristicResult_t best;
    int found = 0;
    check(cublasLtMatmulAlgoGetHeuristic(library, operation_, b_, a_, c_, c_, preference, 1, &best, &found),
          "choosing an algorithm");
    if (found == 0)
      fail(ErrorKind::unsupported, "cuBLASLt has no algorithm for [{}, {}] x [{}, {}] in {}", p.m, p.k, p.k,
           p.n, name_of(p.in));
    algorithm_ = best.algo;
  }

  Operation operation_;
  Layout a_, b_, c_;
  cublasLtMatmulAlgo_t algorithm_;
};

struct Library {
  static constexpr int64_t kMaxBias = 1 << 16;

  Owned<cublasLtHandle_t, cublasLtDestroy> handle;
  std::map<Problem, Product> products;
  void* bias = nullptr;  // rounded to the type of a product

  Library() {
    check(cublasLtCreate(handle.out()), "starting");
    cuda::check(cudaMalloc(&bias, kMaxBias * sizeof(uint16_t)), "allocating room for a bias");
  }
  ~Library() { cudaFree(bias); }
  Library(const Library&) = delete;
};

// The library adds a bias in the type of the result only.
Tensor rounded_bias(Context& ctx, const Library& library, const Tensor& bias, DType dtype) {
  if (bias.numel() > Library::kMaxBias)
    fail(ErrorKind::unsupported, "a 16-bit product has up to {} columns on a GPU, got {}", Library::kMaxBias,
         bias.numel());
  const Tensor rounded(dtype, bias.shape(), library.bias);
  convert(ctx, bias, rounded);
  return rounded;
}

void gemm_cuda(Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c, GemmOptions options) {
  if (cuda::thin_gemm(ctx, a, b, c, options)) return;
  cuda::Stream& stream = cuda::stream_of(ctx);
  auto& library = stream.local<Library>();
  if (options.bias && options.bias.dtype() != c.dtype())
    options.bias = rounded_bias(ctx, library, options.bias, c.dtype());
  const Problem problem = describe(ctx, a, b, c, options);
  auto found = library.products.find(problem);
  if (found == library.products.end())
    found = library.products
                .emplace(std::piecewise_construct, std::tuple(problem),
                         std::forward_as_tuple(static_cast<cublasLtHandle_t>(library.handle), problem))
                .first;
  found->second.run(library.handle, stream, a, b, c, options);
  stream.launched("gemm");
}

}  // namespace

void register_gemm_cuda() {
  for (const DType t : {DType::f32, DType::f16, DType::bf16}) gemm.set(Backend::cuda, t, gemm_cuda);
}

}  // namespace ctr
