#include "brain2music/kernels/median_filter.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "brain2music/check.h"
#include "brain2music/kernels/columns.h"
#include "brain2music/kernels/median_filter_impl.h"

namespace brain2music::kernels {
namespace {

constexpr auto where = "kernels.median_filter";

// Ranks, several to a scan in short runs, are counted in 32 bits.
constexpr int64_t longest_window = (int64_t{1} << 24) + 1;
constexpr int64_t longest_run = int64_t{1} << 28;

using Implementation = at::Tensor(const at::Tensor&, int64_t, at::IntArrayRef, MedianOutput, const bool*);

at::Tensor median_filter_meta(const at::Tensor& x, int64_t /*size*/, at::IntArrayRef /*run_lengths*/,
                              MedianOutput /*output*/, const bool* /*kept*/) {
  return at::empty(x.sizes(), x.options());
}

#if !defined(B2M_WITH_CUDA)
at::Tensor median_filter_cuda(const at::Tensor& x, int64_t /*size*/, at::IntArrayRef /*run_lengths*/,
                              MedianOutput /*output*/, const bool* /*kept*/) {
  no_cuda_kernels(where, x.device());
}
#endif

/// What the dispatcher calls: the one place that checks, whoever calls and whatever the device.
template <Implementation* implementation>
at::Tensor checked(const at::Tensor& x, int64_t size, at::IntArrayRef run_lengths, bool residual,
                   const std::optional<at::Tensor>& kept) {
  check_columns(x, where);
  require(size > 0 && size % 2 == 1, where, "the window must be an odd number of scans; got ", size);
  require(size <= longest_window, where, "the window must be at most ", longest_window, " scans; got ", size);
  require(x.size(0) <= longest_run, where, "x must have at most ", longest_run, " scans; got ", x.size(0));
  check_run_lengths(run_lengths, x.size(0), where);
  at::Tensor scans;
  if (kept) {
    require(kept->scalar_type() == at::kBool && kept->dim() == 1 && kept->size(0) == x.size(0), where,
            "kept must be bool, one for each of ", x.size(0), " scans; got ", kept->scalar_type(), " of shape ",
            kept->sizes());
    require(kept->device() == x.device(), where, "kept must lie where x does, on ", x.device(), "; got ",
            kept->device());
    scans = kept->contiguous();
  }
  return implementation(x, size, run_lengths, residual ? MedianOutput::residual : MedianOutput::trend,
                        kept && !x.is_meta() ? scans.const_data_ptr<bool>() : nullptr);
}

}  // namespace

at::Tensor median_filter(const at::Tensor& x, int64_t size, at::IntArrayRef run_lengths, MedianOutput output,
                         const std::optional<at::Tensor>& kept) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("brain2music::median_filter", "")
          .typed<at::Tensor(const at::Tensor&, int64_t, at::IntArrayRef, bool, const std::optional<at::Tensor>&)>();
  return op.call(x, size, run_lengths, output == MedianOutput::residual,
                 kept ? std::optional(kept->to(x.device())) : std::nullopt);
}

TORCH_LIBRARY_FRAGMENT(brain2music, library) {
  library.def(
      "median_filter(Tensor x, int size, int[] run_lengths=[], bool residual=False, Tensor? kept=None) -> Tensor");
}
TORCH_LIBRARY_IMPL(brain2music, CPU, library) { library.impl("median_filter", checked<median_filter_cpu>); }
TORCH_LIBRARY_IMPL(brain2music, CUDA, library) { library.impl("median_filter", checked<median_filter_cuda>); }
TORCH_LIBRARY_IMPL(brain2music, Meta, library) { library.impl("median_filter", checked<median_filter_meta>); }
TORCH_LIBRARY_IMPL(brain2music, Autograd, library) {
  library.impl("median_filter", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace brain2music::kernels
