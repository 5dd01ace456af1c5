#include "brain2music/kernels/fold_scores.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "brain2music/check.h"
#include "brain2music/kernels/columns.h"
#include "brain2music/kernels/fold_scores_impl.h"

namespace brain2music::kernels {
namespace {

constexpr auto where = "kernels.fold_scores";

using Implementation = at::Tensor(const at::Tensor&, const at::Tensor&);

at::Tensor fold_scores_meta(const at::Tensor& products, const at::Tensor& weights) {
  return at::empty({3, weights.size(1), products.size(2)}, products.options().dtype(at::kDouble));
}

#if !defined(B2M_WITH_CUDA)
at::Tensor fold_scores_cuda(const at::Tensor& products, const at::Tensor& /*weights*/) {
  no_cuda_kernels(where, products.device());
}
#endif

template <Implementation* implementation>
at::Tensor checked(const at::Tensor& products, const at::Tensor& weights) {
  require(products.dim() == 3 && weights.dim() == 3 && products.size(0) == 5 && weights.size(0) == 5 &&
              products.size(1) == weights.size(2),
          where, "products must be (5, features, targets) and weights (5, penalties, features); got ", products.sizes(),
          " and ", weights.sizes());
  require(products.scalar_type() == weights.scalar_type() &&
              (products.scalar_type() == at::kFloat || products.scalar_type() == at::kDouble),
          where, "products and weights must both be float32 or float64; got ", products.scalar_type(), " and ",
          weights.scalar_type());
  require(products.device() == weights.device(), where, "products and weights must lie on one device; got ",
          products.device().str(), " and ", weights.device().str());
  require(products.is_contiguous() && weights.is_contiguous(), where,
          "products and weights must be contiguous; got strides ", products.strides(), " and ", weights.strides());
  return implementation(products, weights);
}

}  // namespace

at::Tensor fold_scores(const at::Tensor& products, const at::Tensor& weights) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("brain2music::fold_scores", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&)>();
  return op.call(products, weights);
}

TORCH_LIBRARY_FRAGMENT(brain2music, library) { library.def("fold_scores(Tensor products, Tensor weights) -> Tensor"); }
TORCH_LIBRARY_IMPL(brain2music, CPU, library) { library.impl("fold_scores", checked<fold_scores_cpu>); }
TORCH_LIBRARY_IMPL(brain2music, CUDA, library) { library.impl("fold_scores", checked<fold_scores_cuda>); }
TORCH_LIBRARY_IMPL(brain2music, Meta, library) { library.impl("fold_scores", checked<fold_scores_meta>); }
TORCH_LIBRARY_IMPL(brain2music, Autograd, library) {
  library.impl("fold_scores", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace brain2music::kernels
