#include "brain2music/kernels/permutation_null.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <cmath>
#include <tuple>

#include "brain2music/check.h"
#include "brain2music/kernels/columns.h"
#include "brain2music/kernels/permutation_null_impl.h"

namespace brain2music::kernels {
namespace {

constexpr auto where = "kernels.permutation_null";

using Operation = std::tuple<at::Tensor, at::Tensor, at::Tensor>(const at::Tensor&, const at::Tensor&,
                                                                 const at::Tensor&, double);
using Implementation = PermutationNull(const at::Tensor&, const at::Tensor&, const at::Tensor&, double);

PermutationNull permutation_null_meta(const at::Tensor& predicted, const at::Tensor& /*observed*/,
                                      const at::Tensor& permutations, double /*slack*/) {
  return {at::empty({predicted.size(2)}, predicted.options().dtype(at::kLong)),
          at::empty({permutations.size(0)}, predicted.options()), at::empty({predicted.size(2)}, predicted.options())};
}

#if !defined(B2M_WITH_CUDA)
PermutationNull permutation_null_cuda(const at::Tensor& predicted, const at::Tensor& /*observed*/,
                                      const at::Tensor& /*permutations*/, double /*slack*/) {
  no_cuda_kernels(where, predicted.device());
}
#endif

/// What the dispatcher calls: the one place that checks, whoever calls and whatever the device.
template <Implementation* implementation>
std::tuple<at::Tensor, at::Tensor, at::Tensor> checked(const at::Tensor& predicted, const at::Tensor& observed,
                                                       const at::Tensor& permutations, double slack) {
  require(predicted.dim() == 3, where, "predicted must be (blocks, rows, voxels); got shape ", predicted.sizes());
  require(predicted.size(0) > 0 && predicted.size(1) > 0, where, "there must be blocks and rows; got shape ",
          predicted.sizes());
  require(predicted.scalar_type() == at::kFloat || predicted.scalar_type() == at::kDouble, where,
          "predicted must be float32 or float64; got ", predicted.scalar_type());
  require(observed.sizes() == predicted.sizes() && observed.scalar_type() == predicted.scalar_type(), where,
          "observed must have the shape and type of predicted; got ", observed.scalar_type(), " ", observed.sizes(),
          " for ", predicted.scalar_type(), " ", predicted.sizes());
  require(permutations.dim() == 2 && permutations.size(1) == predicted.size(0), where,
          "permutations must be (permutations, ", predicted.size(0), "); got shape ", permutations.sizes());
  require(permutations.scalar_type() == at::kLong, where, "permutations must be int64; got ",
          permutations.scalar_type());
  for (const at::Tensor& other : {observed, permutations}) {
    require(other.device() == predicted.device(), where, "all tensors must lie on one device; got ",
            predicted.device().str(), " and ", other.device().str());
  }
  require(std::isfinite(slack) && slack >= 0, where, "slack must be 0 or a positive number; got ", slack);
  PermutationNull null =
      implementation(predicted.contiguous(), observed.contiguous(), permutations.contiguous(), slack);
  return {std::move(null.at_least), std::move(null.largest), std::move(null.own)};
}

}  // namespace

PermutationNull permutation_null(const at::Tensor& predicted, const at::Tensor& observed,
                                 const at::Tensor& permutations, double slack) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("brain2music::permutation_null", "").typed<Operation>();
  auto [at_least, largest, own] = op.call(predicted, observed, permutations, slack);
  return {std::move(at_least), std::move(largest), std::move(own)};
}

TORCH_LIBRARY_FRAGMENT(brain2music, library) {
  library.def(
      "permutation_null(Tensor predicted, Tensor observed, Tensor permutations, float slack=0) -> "
      "(Tensor, Tensor, Tensor)");
}
TORCH_LIBRARY_IMPL(brain2music, CPU, library) { library.impl("permutation_null", checked<permutation_null_cpu>); }
TORCH_LIBRARY_IMPL(brain2music, CUDA, library) { library.impl("permutation_null", checked<permutation_null_cuda>); }
TORCH_LIBRARY_IMPL(brain2music, Meta, library) { library.impl("permutation_null", checked<permutation_null_meta>); }
TORCH_LIBRARY_IMPL(brain2music, Autograd, library) {
  library.impl("permutation_null", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace brain2music::kernels
