// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm.h"

#include <cublasLt.h>

#include "base/lru.h"
#include "device/buffer.h"
#include "device/cuda.cuh"
#include "kernels/columns.h"
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

constexpr int kWideBytes = 16;  // what the fast algorithms ask of pointers and row lengths

// The library thinks in columns: our c[m, n] = a b is its c'[n, m] = b' a'.
struct Problem {
  int lane;  // copies of factors belong to one lane
  int64_t m, n, k;
  DType in, out;
  bool transpose_a, transpose_b, accumulate, bias, relu, tf32;
  int align_a, align_b, align_c, align_bias;  // of pointers and row strides, in bytes up to 16
  int64_t lda, ldb, ldc;                      // row strides
  int64_t pad_a, pad_b, pad_c;                // zeros behind each row
  int64_t batches = 1;                        // of matrices, one behind the other
  auto operator<=>(const Problem&) const = default;
};

int alignment_of(const Tensor& t, int64_t stride) {
  const uintptr_t bits =
      reinterpret_cast<uintptr_t>(t.raw()) | static_cast<uintptr_t>(stride) * size_of(t.dtype()) | kWideBytes;
  return static_cast<int>(bits & -bits);
}

Problem describe(const Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c,
                 const GemmOptions& o) {
  const Problem p{.lane = cuda::stream_of(ctx).lane(),
                  .m = c.shape().rows(),
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
                  .align_a = alignment_of(a, a.row_stride()),
                  .align_b = alignment_of(b, b.row_stride()),
                  .align_c = alignment_of(c, c.row_stride()),
                  .align_bias = alignment_of(o.bias, 0),
                  .lda = a.row_stride(),
                  .ldb = b.row_stride(),
                  .ldc = c.row_stride(),
                  .pad_a = a.runs().padding,
                  .pad_b = b.runs().padding,
                  .pad_c = c.runs().padding};
  const int64_t m = o.transpose_a ? a.shape().last() : a.shape().rows();
  const int64_t n = o.transpose_b ? b.shape().rows() : b.shape().last();
  const int64_t k = o.transpose_b ? b.shape().last() : b.shape().rows();
  if (m != p.m || n != p.n || k != p.k || b.dtype() != p.in || (o.bias && o.bias.dtype() != DType::f32))
    fail(ErrorKind::internal, "gemm: {}{} times {}{} into {}", to_string(a.shape()),
         o.transpose_a ? "^T" : "", to_string(b.shape()), o.transpose_b ? "^T" : "", to_string(c.shape()));
  return p;
}

Problem describe(const Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c,
                 const BatchedGemmOptions& o) {
  const BatchedShape s = batched_shape(a.shape(), b.shape(), c.shape(), o);
  return {.lane = cuda::stream_of(ctx).lane(),
          .m = s.m,
          .n = s.n,
          .k = s.k,
          .in = a.dtype(),
          .out = c.dtype(),
          .transpose_a = o.transpose_a,
          .transpose_b = o.transpose_b,
          .accumulate = o.accumulate,
          .bias = false,
          .relu = false,
          .tf32 = ctx.tf32,
          .align_a = alignment_of(a, a.row_stride()),
          .align_b = alignment_of(b, b.row_stride()),
          .align_c = alignment_of(c, c.row_stride()),
          .align_bias = kWideBytes,
          .lda = a.row_stride(),
          .ldb = b.row_stride(),
          .ldc = c.row_stride(),
          .pad_a = 0,
          .pad_b = 0,
          .pad_c = 0,
          .batches = s.batches};
}

int64_t rounded_up(int64_t n, DType t) {
  const auto wide = static_cast<int64_t>(kWideBytes / size_of(t));
  return cuda::divide_up(n, wide) * wide;
}

// The tensor cores are fast where rows are aligned and as long as whole accesses. A tensor whose rows have
// zeros behind them is like that already. Any other gets a copy with zeros behind its rows, and rows of zeros
// if `rows` is more than it has, which is worth its while.
class Aligned {
 public:
  Aligned(const Context& ctx, const Tensor& like, int alignment, int64_t rows, int64_t columns)
      : rows_(rows), columns_(columns), row_length_(like.row_stride()) {
    const bool is_as_long = columns - like.shape().last() <= like.runs().padding;
    if (alignment == kWideBytes && like.shape().rows() == rows && is_as_long) return;
    row_length_ = rounded_up(columns, like.dtype());
    memory_ = Buffer(ctx.device, static_cast<size_t>(rows * row_length_) * size_of(like.dtype()),
                     "aligned factors of a product");
  }
  // Leaves the tensor, of so many matrices, as it is.
  Aligned(const Tensor& like, int64_t batches)
      : rows_(like.shape().rows() / batches), columns_(like.shape().last()), row_length_(like.row_stride()) {}

  bool is_copy() const { return memory_.data() != nullptr; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  int64_t row_length() const { return row_length_; }
  // The tensor itself, or its copy filled from it.
  void* take(Context& ctx, const Tensor& t) const {
    if (is_copy()) copy_columns(ctx, t, copy_of(t), t.shape().rows(), {0, 0, t.shape().last()}, false);
    return target(t);
  }
  void give(Context& ctx, const Tensor& t, bool accumulate) const {
    if (is_copy()) copy_columns(ctx, copy_of(t), t, t.shape().rows(), {0, 0, t.shape().last()}, accumulate);
  }
  void* target(const Tensor& t) const { return is_copy() ? memory_.data() : t.raw(); }

 private:
  Tensor copy_of(const Tensor& t) const {
    return {t.dtype(), {t.shape().rows(), row_length_}, memory_.data()};
  }
  int64_t rows_, columns_, row_length_;
  Buffer memory_;
};

// Descriptors and the chosen algorithm of one problem.
class Product {
 public:
  Product(Context& ctx, cublasLtHandle_t library, const Problem& p, const Tensor& a, const Tensor& b,
          const Tensor& c)
      : a_(a, p.batches), b_(b, p.batches), c_(c, p.batches) {
    if (is_large(p)) {
      const int64_t k = rounded_up(p.k, p.in), n = rounded_up(p.n, p.in);
      const int64_t m = p.transpose_a ? rounded_up(p.m, p.in) : p.m;
      a_ = p.transpose_a ? Aligned(ctx, a, p.align_a, k, m) : Aligned(ctx, a, p.align_a, m, k);
      b_ = p.transpose_b ? Aligned(ctx, b, p.align_b, n, k) : Aligned(ctx, b, p.align_b, k, n);
      c_ = Aligned(ctx, c, p.align_c, m, n);
    }
    const auto compute = p.in == DType::f32 && p.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    check(cublasLtMatmulDescCreate(operation_.out(), compute, CUDA_R_32F), "describing a product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, p.bias && p.relu ? CUBLASLT_EPILOGUE_RELU_BIAS
                                       : p.bias         ? CUBLASLT_EPILOGUE_BIAS
                                       : p.relu         ? CUBLASLT_EPILOGUE_RELU
                                                        : CUBLASLT_EPILOGUE_DEFAULT);
    layout(a_layout_, p.in, a_, p.batches);
    layout(b_layout_, p.in, b_, p.batches);
    layout(c_layout_, p.out, c_, p.batches);
    if (p.bias && p.out != DType::f32)  // the library adds a bias in the type of the result only
      rounded_bias_ = Buffer(ctx.device, static_cast<size_t>(p.n) * size_of(p.out), "rounded bias");
    choose(library, p);
  }

  void run(Context& ctx, cublasLtHandle_t library, const Tensor& a, const Tensor& b, const Tensor& c,
           const GemmOptions& o) {
    if (o.bias) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias_of(ctx, c, o));
    cuda::Stream& stream = cuda::stream_of(ctx);
    const float one = 1, beta = o.accumulate && !c_.is_copy() ? 1 : 0;
    const void *left = a_.take(ctx, a), *right = b_.take(ctx, b);
    void* out = c_.target(c);
    void* workspace = stream.workspace<std::byte>(static_cast<int64_t>(workspace_bytes_));
    is_recorded_ |= stream.is_recording();
    check(cublasLtMatmul(library, operation_, &one, right, b_layout_, left, a_layout_, &beta, out, c_layout_,
                         out, c_layout_, &algorithm_, workspace, workspace_bytes_, stream.get()),
          "multiplying");
    stream.launched("gemm");
    c_.give(ctx, c, o.accumulate);
  }

  // A recording of a step refers to its memory.
  bool is_recorded() const { return is_recorded_; }

 private:
  using Operation = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
  using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;

  // Products on the tensor cores that take longer than copies. An epilogue neither comes before the old
  // content of c is added nor finds a bias for further columns.
  static bool is_large(const Problem& p) {
    constexpr int64_t kLarge = int64_t{1} << 26;
    const bool can_copy_c =
        !(p.accumulate && (p.bias || p.relu)) && !(p.bias && p.n != rounded_up(p.n, p.in));
    return p.batches == 1 && p.m * p.n * p.k >= kLarge && (p.in != DType::f32 || p.tf32) && can_copy_c;
  }

  const void* bias_of(Context& ctx, const Tensor& c, const GemmOptions& o) const {
    if (!rounded_bias_.data()) return o.bias.raw();
    const Tensor rounded(c.dtype(), o.bias.shape(), rounded_bias_.data());
    convert(ctx, o.bias, rounded);
    return rounded.raw();
  }

  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, T value) {
    check(cublasLtMatmulDescSetAttribute(operation_, attribute, &value, sizeof(value)),
          "describing a product");
  }
  static void layout(Layout& l, DType dtype, const Aligned& t, int64_t batches) {
    check(cublasLtMatrixLayoutCreate(l.out(), type_of(dtype), static_cast<uint64_t>(t.columns()),
                                     static_cast<uint64_t>(t.rows()), t.row_length()),
          "describing a matrix");
    if (batches == 1) return;
    const auto count = static_cast<int32_t>(batches);
    const int64_t step = t.rows() * t.row_length();
    check(cublasLtMatrixLayoutSetAttribute(l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof(count)),
          "describing matrices");
    check(
        cublasLtMatrixLayoutSetAttribute(l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof(step)),
        "describing matrices");
  }

  void choose(cublasLtHandle_t library, const Problem& p) {
    Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> preference;
    check(cublasLtMatmulPreferenceCreate(preference.out()), "choosing an algorithm");
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
      check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)),
            "choosing an algorithm");
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, cuda::Stream::kMaxWorkspaceBytes);
    // Parts of a sum are added in the workspace, in order: the same bits every time. 16-bit results are
    // rounded once.
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
           static_cast<uint32_t>(p.out == DType::f32 ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
                                                     : CUBLASLT_REDUCTION_SCHEME_NONE));
    const auto alignment = [](const Aligned& tensor, int own) {
      return static_cast<uint32_t>(tensor.is_copy() ? kWideBytes : own);
    };
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(b_, p.align_b));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(a_, p.align_a));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(c_, p.align_c));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
           std::min(alignment(c_, p.align_c), static_cast<uint32_t>(p.align_bias)));
    cublasLtMatmulHeuristicResult_t best = {};
    int found = 0;
    check(cublasLtMatmulAlgoGetHeuristic(library, operation_, b_layout_, a_layout_, c_layout_, c_layout_,
                                         preference, 1, &best, &found),
          "choosing an algorithm");
    if (found == 0)
      fail(ErrorKind::unsupported, "cuBLASLt has no algorithm for [{}, {}] x [{}, {}] in {}", p.m, p.k, p.k,
           p.n, name_of(p.in));
    algorithm_ = best.algo;
    workspace_bytes_ = best.workspaceSize;
  }

  Aligned a_, b_, c_;
  Operation operation_;
  Layout a_layout_, b_layout_, c_layout_;
  cublasLtMatmulAlgo_t algorithm_;
  size_t workspace_bytes_ = 0;
  bool is_recorded_ = false;
  Buffer rounded_bias_;
};

// Products of a model's layers for all sizes that a batch may have: thirty layers, and about seventy sizes of
// up to 65,536 samples.
constexpr size_t kMaxProducts = 2048;

struct Library {
  Owned<cublasLtHandle_t, cublasLtDestroy> handle;
  LruCache<Problem, Product> products{kMaxProducts};
  Library() { check(cublasLtCreate(handle.out()), "starting"); }
};

void multiply(Context& ctx, const Problem& problem, const Tensor& a, const Tensor& b, const Tensor& c,
              const GemmOptions& options) {
  auto& library = cuda::stream_of(ctx).local<Library>();
  Product* product = library.products.find(problem);
  if (!product)
    product = &library.products.add(
        problem, [](const Product& p) { return p.is_recorded(); }, ctx,
        static_cast<cublasLtHandle_t>(library.handle), problem, a, b, c);
  product->run(ctx, library.handle, a, b, c, options);
}

void gemm_cuda(Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c, GemmOptions options) {
  if (!cuda::thin_gemm(ctx, a, b, c, options))
    multiply(ctx, describe(ctx, a, b, c, options), a, b, c, options);
}

// Matrices [first, first + count) of a tensor.
Tensor some_of(const Tensor& t, int64_t first, int64_t count) {
  const Shape& s = t.shape();
  auto* begin = static_cast<std::byte*>(t.raw()) +
                static_cast<size_t>(first * s[-2] * t.row_stride()) * size_of(t.dtype());
  return {t.dtype(), {count, s[-2], s[-1]}, begin, {s[-1], t.row_stride()}};
}

void batched_gemm_cuda(Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c,
                       BatchedGemmOptions options) {
  constexpr int64_t kAtOnce = 65535;  // what a launch takes along its third dimension
  const int64_t batches = batched_shape(a.shape(), b.shape(), c.shape(), options).batches;
  for (int64_t first = 0; first < batches; first += kAtOnce) {
    const int64_t count = std::min(kAtOnce, batches - first);
    const Tensor left = some_of(a, first, count), right = some_of(b, first, count),
                 out = some_of(c, first, count);
    multiply(ctx, describe(ctx, left, right, out, options), left, right, out,
             {.accumulate = options.accumulate});
  }
}

}  // namespace

void register_gemm_cuda() {
  for (const DType t : {DType::f32, DType::f16, DType::bf16}) {
    gemm.set(Backend::cuda, t, gemm_cuda);
    batched_gemm.set(Backend::cuda, t, batched_gemm_cuda);
  }
}

}  // namespace ctr
