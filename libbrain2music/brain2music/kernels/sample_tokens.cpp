#include "brain2music/kernels/sample_tokens.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <cmath>

#include "brain2music/check.h"
#include "brain2music/kernels/columns.h"
#include "brain2music/kernels/sample_tokens_impl.h"

namespace brain2music::kernels {
namespace {

constexpr auto where = "kernels.sample_tokens";

using Operation = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t,
                             double, int64_t, double);
using Implementation = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t,
                                  const SampleSettings&);

at::Tensor sample_tokens_meta(const at::Tensor& logits, const at::Tensor& /*ranges*/, const at::Tensor& /*streams*/,
                              const at::Tensor& /*step*/, int64_t /*seed*/, const SampleSettings& /*settings*/) {
  return at::empty({logits.size(0)}, logits.options().dtype(at::kLong));
}

#if !defined(B2M_WITH_CUDA)
at::Tensor sample_tokens_cuda(const at::Tensor& logits, const at::Tensor& /*ranges*/, const at::Tensor& /*streams*/,
                              const at::Tensor& /*step*/, int64_t /*seed*/, const SampleSettings& /*settings*/) {
  no_cuda_kernels(where, logits.device());
}
#endif

void check_integers(const at::Tensor& x, const char* name, at::IntArrayRef shape, const at::Tensor& logits) {
  require(x.sizes() == shape, where, name, " must have shape ", shape, "; got ", x.sizes(), " for logits of shape ",
          logits.sizes());
  require(x.scalar_type() == at::kLong, where, name, " must be int64; got ", x.scalar_type());
  require(x.device() == logits.device(), where, "logits and ", name, " must lie on one device; got ",
          logits.device().str(), " and ", x.device().str());
}

/// What the dispatcher calls: the one place that checks, whoever calls and whatever the device.
template <Implementation* implementation>
at::Tensor checked(const at::Tensor& logits, const at::Tensor& ranges, const at::Tensor& streams,
                   const at::Tensor& step, int64_t seed, double temperature, int64_t top_k, double top_p) {
  require(logits.dim() == 2 && logits.size(1) > 0, where, "logits must be (rows, vocabulary); got shape ",
          logits.sizes());
  require(logits.scalar_type() == at::kFloat, where, "logits must be float32; got ", logits.scalar_type());
  require(logits.size(1) <= most_tokens, where, "the vocabulary must be at most ", most_tokens, " ids; got shape ",
          logits.sizes());
  check_integers(ranges, "ranges", {logits.size(0), 2}, logits);
  check_integers(streams, "streams", {logits.size(0)}, logits);
  check_integers(step, "step", {}, logits);
  require(temperature >= 0 && std::isfinite(temperature), where,
          "temperature must be 0 (the greatest logit) or a positive number; got ", temperature);
  require(top_k >= 0, where, "top_k must be 0 (all ids) or more; got ", top_k);
  require(top_p > 0 && top_p <= 1, where, "top_p must lie above 0 and be at most 1 (all ids); got ", top_p);
  return implementation(logits.contiguous(), ranges.contiguous(), streams.contiguous(), step, seed,
                        SampleSettings::of(temperature, top_k, top_p));
}

}  // namespace

at::Tensor sample_tokens(const at::Tensor& logits, const at::Tensor& ranges, const at::Tensor& streams,
                         const at::Tensor& step, int64_t seed, const SampleOptions& options) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("brain2music::sample_tokens", "").typed<Operation>();
  return op.call(logits, ranges, streams, step, seed, options.temperature, options.top_k, options.top_p);
}

TORCH_LIBRARY_FRAGMENT(brain2music, library) {
  library.def(
      "sample_tokens(Tensor logits, Tensor ranges, Tensor streams, Tensor step, int seed, float temperature=1.0, "
      "int top_k=0, float top_p=1.0) -> Tensor");
}
TORCH_LIBRARY_IMPL(brain2music, CPU, library) { library.impl("sample_tokens", checked<sample_tokens_cpu>); }
TORCH_LIBRARY_IMPL(brain2music, CUDA, library) { library.impl("sample_tokens", checked<sample_tokens_cuda>); }
TORCH_LIBRARY_IMPL(brain2music, Meta, library) { library.impl("sample_tokens", checked<sample_tokens_meta>); }
TORCH_LIBRARY_IMPL(brain2music, Autograd, library) {
  library.impl("sample_tokens", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace brain2music::kernels
