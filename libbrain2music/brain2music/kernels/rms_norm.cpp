#include "brain2music/kernels/rms_norm.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/rms_norm.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

namespace brain2music::kernels {
namespace {

using Norm = at::Tensor(const at::Tensor&, at::IntArrayRef, const std::optional<at::Tensor>&, std::optional<double>);

at::Tensor by_libtorch(const at::Tensor& x, at::IntArrayRef normalized_shape, const std::optional<at::Tensor>& weight,
                       std::optional<double> eps) {
  return at::rms_norm(x, normalized_shape, weight, eps);
}

/// Sum of squares, in 16 chains that are added in one order.
float squares(const float* row, int64_t size) {
  constexpr int64_t chains = 16;
  std::array<float, chains> sums{};
  int64_t i = 0;
  for (; i + chains <= size; i += chains) {
    for (int64_t chain = 0; chain < chains; ++chain) {
      sums[static_cast<std::size_t>(chain)] += row[i + chain] * row[i + chain];
    }
  }
  float sum = 0;
  for (; i < size; ++i) {
    sum += row[i] * row[i];
  }
  for (const float each : sums) {
    sum += each;
  }
  return sum;
}

at::Tensor rms_norm_cpu(const at::Tensor& x, at::IntArrayRef normalized_shape, const std::optional<at::Tensor>& weight,
                        std::optional<double> eps) {
  const auto plain = [](const at::Tensor& t) {
    return t.is_cpu() && t.scalar_type() == at::kFloat && t.is_contiguous();
  };
  const bool ours = plain(x) && x.dim() >= 1 && normalized_shape.size() == 1 && x.size(-1) == normalized_shape[0] &&
                    x.numel() > 0 && (!weight || (plain(*weight) && weight->sizes() == normalized_shape));
  if (!ours) {
    return by_libtorch(x, normalized_shape, weight, eps);
  }
  at::Tensor y = at::empty(x.sizes(), x.options());
  const int64_t size = x.size(-1);
  const auto added = static_cast<float>(eps.value_or(std::numeric_limits<float>::epsilon()));
  const auto* const scale = weight ? weight->const_data_ptr<float>() : nullptr;
  const auto* from = x.const_data_ptr<float>();
  auto* to = y.mutable_data_ptr<float>();
  for (int64_t row = 0; row < x.numel() / size; ++row, from += size, to += size) {
    const float factor = 1 / std::sqrt(squares(from, size) / static_cast<float>(size) + added);
    for (int64_t i = 0; i < size; ++i) {
      to[i] = scale == nullptr ? from[i] * factor : from[i] * factor * scale[i];
    }
  }
  return y;
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, at::IntArrayRef normalized_shape, const std::optional<at::Tensor>& weight,
                    std::optional<double> eps) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("brain2music::rms_norm", "").typed<Norm>();
  return op.call(x, normalized_shape, weight, eps);
}

TORCH_LIBRARY_FRAGMENT(brain2music, library) {
  library.def("rms_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor");
}
TORCH_LIBRARY_IMPL(brain2music, CPU, library) { library.impl("rms_norm", rms_norm_cpu); }
TORCH_LIBRARY_IMPL(brain2music, CUDA, library) { library.impl("rms_norm", by_libtorch); }
TORCH_LIBRARY_IMPL(brain2music, Meta, library) { library.impl("rms_norm", by_libtorch); }
TORCH_LIBRARY_IMPL(brain2music, Autograd, library) {
  library.impl("rms_norm", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace brain2music::kernels
