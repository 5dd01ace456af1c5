#include "brain2music/kernels/attend.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <cmath>
#include <limits>

#include "brain2music/kernels/attend_impl.h"

namespace brain2music::kernels {
namespace {

using Mask = std::optional<at::Tensor>;
using Attention = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const Mask&, double, bool,
                             std::optional<double>, bool);

at::Tensor by_libtorch(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Mask& mask,
                       double dropout, bool causal, std::optional<double> scale, bool gqa) {
  return at::scaled_dot_product_attention(query, key, value, mask, dropout, causal, scale, gqa);
}

/// Says whether attend_once_cpu() takes it. LibTorch refuses what does not fit together.
bool is_ours(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Mask& mask, bool gqa) {
  const auto plain = [](const at::Tensor& x) {
    return x.dim() == 4 && x.is_cpu() && x.scalar_type() == at::kFloat && x.layout() == at::kStrided;
  };
  if (!plain(query) || !plain(key) || !plain(value) || query.size(2) != 1 || query.numel() == 0 || key.size(2) == 0) {
    return false;
  }
  const int64_t heads = query.size(1);
  const int64_t of_keys = key.size(1);
  const bool heads_fit = gqa ? of_keys > 0 && heads % of_keys == 0 : heads == of_keys;
  const bool mask_fits = !mask || (mask->is_cpu() && mask->dim() <= 4 && mask->dim() >= 1 &&
                                   (mask->scalar_type() == at::kFloat || mask->scalar_type() == at::kBool) &&
                                   (mask->size(-1) == key.size(2) || mask->size(-1) == 1));
  return heads_fit && mask_fits && key.sizes() == value.sizes() && key.size(0) == query.size(0) &&
         key.size(3) == query.size(3);
}

at::Tensor attend_cpu(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Mask& mask,
                      double dropout, bool causal, std::optional<double> scale, bool gqa) {
  if (dropout != 0 || causal || !is_ours(query, key, value, mask, gqa)) {
    return by_libtorch(query, key, value, mask, dropout, causal, scale, gqa);
  }
  const auto last_contiguous = [](const at::Tensor& x) { return x.stride(3) == 1 ? x : x.contiguous(); };
  at::Tensor added;
  if (mask) {
    added = *mask;
    if (added.scalar_type() == at::kBool) {
      added = at::zeros(added.sizes(), query.options())
                  .masked_fill_(added.logical_not(), -std::numeric_limits<float>::infinity());
    }
    added = added.expand({query.size(0), query.size(1), 1, key.size(2)});
  }
  const double by_size = 1 / std::sqrt(static_cast<double>(query.size(3)));
  return attend_once_cpu(last_contiguous(query), last_contiguous(key), last_contiguous(value), added,
                         static_cast<float>(scale.value_or(by_size)));
}

}  // namespace

at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                  const std::optional<at::Tensor>& mask, std::optional<double> scale, bool gqa) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("brain2music::attend", "").typed<Attention>();
  return op.call(query, key, value, mask, 0.0, false, scale, gqa);
}

TORCH_LIBRARY_FRAGMENT(brain2music, library) {
  library.def(
      "attend(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, "
      "bool is_causal=False, float? scale=None, bool enable_gqa=False) -> Tensor");
}
TORCH_LIBRARY_IMPL(brain2music, CPU, library) { library.impl("attend", attend_cpu); }
TORCH_LIBRARY_IMPL(brain2music, CUDA, library) { library.impl("attend", by_libtorch); }
TORCH_LIBRARY_IMPL(brain2music, Meta, library) { library.impl("attend", by_libtorch); }
TORCH_LIBRARY_IMPL(brain2music, Autograd, library) {
  library.impl("attend", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace brain2music::kernels
