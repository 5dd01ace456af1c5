#include "brain2music/kernels/cosine_top_k.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <stdexcept>
#include <utility>

#include "brain2music/check.h"
#include "brain2music/kernels/columns.h"
#include "brain2music/kernels/cosine_top_k_impl.h"
#include "brain2music/kernels/cosine_top_k_sketch.h"

namespace brain2music::kernels {
namespace {

constexpr auto where = "kernels.cosine_top_k";

// Rows are ranked by 32 bits of score and 32 of row; 16-bit products are added up in 32 bits.
constexpr int64_t most_items = (int64_t{1} << 32) - 1;
constexpr int64_t most_dimensions = int64_t{1} << 20;

using Implementation = ScoresAndIndices(const at::Tensor&, const at::Tensor&, int64_t,
                                        const std::optional<at::Tensor>&);

ScoresAndIndices cosine_top_k_meta(const at::Tensor& queries, const at::Tensor& /*items*/, int64_t k,
                                   const std::optional<at::Tensor>& /*sketch*/) {
  return {at::empty({queries.size(0), k}, queries.options()),
          at::empty({queries.size(0), k}, queries.options().dtype(at::kLong))};
}

#if !defined(B2M_WITH_CUDA)
ScoresAndIndices cosine_top_k_cuda(const at::Tensor& queries, const at::Tensor& /*items*/, int64_t /*k*/,
                                   const std::optional<at::Tensor>& /*sketch*/) {
  no_cuda_kernels(where, queries.device());
}
#endif

void check_rows(const at::Tensor& x, const char* name) {
  require(x.dim() == 2 && x.size(1) > 0, where, name, " must have two dimensions (rows, dimensions); got shape ",
          x.sizes());
  require(x.scalar_type() == at::kFloat, where, name, " must be float32; got ", x.scalar_type());
  require(x.size(1) <= most_dimensions, where, name, " must have at most ", most_dimensions, " dimensions; got shape ",
          x.sizes());
}

void check_items(const at::Tensor& items) {
  check_rows(items, "items");
  require(items.size(0) <= most_items, where, "items must be at most ", most_items, "; got shape ", items.sizes());
}

/// What the dispatcher calls: the one place that checks, whoever calls and whatever the device.
template <Implementation* implementation>
ScoresAndIndices checked(const at::Tensor& queries, const at::Tensor& items, int64_t k,
                         const std::optional<at::Tensor>& sketch) {
  check_rows(queries, "queries");
  check_items(items);
  require(queries.size(1) == items.size(1), where, "queries and items must have as many dimensions; got shapes ",
          queries.sizes(), " and ", items.sizes());
  require(queries.device() == items.device(), where, "queries and items must be on one device; got ",
          queries.device().str(), " and ", items.device().str());
  require(k >= 1 && k <= items.size(0), where, "k must lie between 1 and the number of items, ", items.size(0),
          "; got ", k);
  if (sketch) {
    require(sketch->device().is_cpu() && items.device().is_cpu(), where, "a sketch is for items on the CPU; got ",
            sketch->device().str(), " for items on ", items.device().str());
    require(sketch->scalar_type() == at::kShort && sketch->is_contiguous() &&
                sketch->sizes() == at::IntArrayRef(sketch_shape(items.size(0), items.size(1))),
            where, "sketch must be the cosine_sketch of the items; got ", sketch->scalar_type(), " of shape ",
            sketch->sizes(), " for items of shape ", items.sizes());
  }
  return implementation(queries.contiguous(), items.contiguous(), k, sketch);
}

}  // namespace

TopK cosine_top_k(const at::Tensor& queries, const at::Tensor& items, int64_t k,
                  const std::optional<at::Tensor>& sketch) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("brain2music::cosine_top_k", "")
          .typed<ScoresAndIndices(const at::Tensor&, const at::Tensor&, int64_t, const std::optional<at::Tensor>&)>();
  auto [scores, indices] = op.call(queries, items, k, sketch);
  return {std::move(scores), std::move(indices)};
}

at::Tensor cosine_sketch(const at::Tensor& items) {
  check_items(items);
  require(items.device().is_cpu(), where, "a sketch is for items on the CPU; got items on ", items.device().str());
  return sketch_of(items.contiguous());
}

void row_without_direction(const char* rows, int64_t row) {
  throw std::invalid_argument(
      error_message(where, "every row of ", rows, " must be finite and not all zero; got otherwise in row ", row));
}

TORCH_LIBRARY_FRAGMENT(brain2music, library) {
  library.def("cosine_top_k(Tensor queries, Tensor items, int k, Tensor? sketch=None) -> (Tensor, Tensor)");
}
TORCH_LIBRARY_IMPL(brain2music, CPU, library) { library.impl("cosine_top_k", checked<cosine_top_k_cpu>); }
TORCH_LIBRARY_IMPL(brain2music, CUDA, library) { library.impl("cosine_top_k", checked<cosine_top_k_cuda>); }
TORCH_LIBRARY_IMPL(brain2music, Meta, library) { library.impl("cosine_top_k", checked<cosine_top_k_meta>); }
TORCH_LIBRARY_IMPL(brain2music, Autograd, library) {
  library.impl("cosine_top_k", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace brain2music::kernels
