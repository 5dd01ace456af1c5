#include "brain2music/kernels/standardize.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "brain2music/kernels/columns.h"
#include "brain2music/kernels/standardize_impl.h"

namespace brain2music::kernels {
namespace {

constexpr auto where = "kernels.standardize";

using Implementation = at::Tensor(const at::Tensor&, at::IntArrayRef);

at::Tensor standardize_meta(const at::Tensor& x, at::IntArrayRef /*run_lengths*/) {
  return at::empty(x.sizes(), x.options());
}

#if !defined(B2M_WITH_CUDA)
at::Tensor standardize_cuda(const at::Tensor& x, at::IntArrayRef /*run_lengths*/) {
  no_cuda_kernels(where, x.device());
}
#endif

/// What the dispatcher calls: the one place that checks, whoever calls and whatever the device.
template <Implementation* implementation>
at::Tensor checked(const at::Tensor& x, at::IntArrayRef run_lengths) {
  check_columns(x, where);
  check_run_lengths(run_lengths, x.size(0), where);
  return implementation(x, run_lengths);
}

}  // namespace

at::Tensor standardize(const at::Tensor& x, at::IntArrayRef run_lengths) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("brain2music::standardize", "")
                             .typed<at::Tensor(const at::Tensor&, at::IntArrayRef)>();
  return op.call(x, run_lengths);
}

TORCH_LIBRARY_FRAGMENT(brain2music, library) { library.def("standardize(Tensor x, int[] run_lengths=[]) -> Tensor"); }
TORCH_LIBRARY_IMPL(brain2music, CPU, library) { library.impl("standardize", checked<standardize_cpu>); }
TORCH_LIBRARY_IMPL(brain2music, CUDA, library) { library.impl("standardize", checked<standardize_cuda>); }
TORCH_LIBRARY_IMPL(brain2music, Meta, library) { library.impl("standardize", checked<standardize_meta>); }
TORCH_LIBRARY_IMPL(brain2music, Autograd, library) {
  library.impl("standardize", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace brain2music::kernels
