#include "brain2music/linalg/packed_linear.h"

#include <ATen/TensorOperators.h>
#include <ATen/Version.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/linalg/crew.h"
#include "brain2music/linalg/packed_tile.h"
#include "brain2music/linalg/packed_weights.h"

namespace brain2music::linalg {
namespace {

constexpr auto where = "linalg.packed_linear";

// Bytes of weights of a chunk, or products of many rows: some 10 microseconds of a thread.
constexpr int64_t bytes_of_a_chunk = int64_t{1} << 17;
constexpr int64_t products_of_a_chunk = int64_t{1} << 19;
constexpr int64_t blocks_together = 4;  // that a thread reads at once

/// Products of the widest vectors that LibTorch finds here, and ATEN_CPU_CAPABILITY allows.
PackedKernel widest() {
#if defined(B2M_WITH_AVX512)
  static const bool wide = std::string_view(at::get_cpu_capability()) == "AVX512";
  return wide ? packed_product_avx512 : packed_product;
#else
  return packed_product;
#endif
}

Stored stored_as(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return Stored::float32;
    case at::kBFloat16:
      return Stored::bfloat16;
    case at::kHalf:
      return Stored::float16;
    case at::kChar:
      return Stored::int8;
    default:
      fail(where, "values must be float32, bfloat16, float16 or int8; got ", dtype);
  }
}

/// The shape of y; operands that do not fit are refused.
std::vector<int64_t> checked_shape(const at::Tensor& x, const at::Tensor& values,
                                   const std::optional<at::Tensor>& scale, const std::optional<at::Tensor>& bias,
                                   int64_t outputs) {
  require(x.scalar_type() == at::kFloat && x.dim() >= 1, where, "x must be float32 of one dimension or more; got ",
          x.scalar_type(), " of shape ", x.sizes());
  const bool packed = values.dim() == 3 && values.size(2) == block_outputs && values.is_contiguous();
  require(packed && values.size(0) == (outputs + block_outputs - 1) / block_outputs && values.size(1) == x.size(-1),
          where, "values must be (blocks of 16 outputs, features, 16) for ", outputs, " outputs and ", x.size(-1),
          " features; got ", values.sizes());
  for (const auto& each : {scale, bias}) {
    require(!each || (each->dim() == 1 && each->size(0) == outputs && each->scalar_type() == at::kFloat), where,
            "scale and bias must be float32, one for each of ", outputs, " outputs; got ",
            each.value_or(at::Tensor()).toString());
  }
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = outputs;
  return shape;
}

at::Tensor packed_linear_cpu(const at::Tensor& x, const at::Tensor& values, const std::optional<at::Tensor>& scale,
                             const std::optional<at::Tensor>& bias, int64_t outputs) {
  at::Tensor y = at::empty(checked_shape(x, values, scale, bias, outputs), x.options());
  if (y.numel() == 0) {
    return y;
  }
  const at::Tensor rows = x.contiguous();
  const at::Tensor scaled = scale ? scale->contiguous() : at::Tensor();
  const at::Tensor added = bias ? bias->contiguous() : at::Tensor();
  const PackedProduct product{rows.const_data_ptr<float>(),
                              values.const_data_ptr(),
                              scale ? scaled.const_data_ptr<float>() : nullptr,
                              bias ? added.const_data_ptr<float>() : nullptr,
                              y.mutable_data_ptr<float>(),
                              y.numel() / outputs,
                              x.size(-1),
                              outputs,
                              stored_as(values.scalar_type())};
  const PackedKernel kernel = widest();
  const int64_t blocks = values.size(0);
  const int64_t block = std::max<int64_t>(1, product.features * block_outputs);
  const int64_t fit =
      std::min(bytes_of_a_chunk / (block * values.element_size()), products_of_a_chunk / (block * product.rows));
  const int64_t share = std::max<int64_t>(1, fit / blocks_together) * blocks_together;
  share_out((blocks + share - 1) / share,
            [&](int64_t chunk) { kernel(product, chunk * share, std::min((chunk + 1) * share, blocks)); });
  return y;
}

at::Tensor packed_linear_meta(const at::Tensor& x, const at::Tensor& values, const std::optional<at::Tensor>& scale,
                              const std::optional<at::Tensor>& bias, int64_t outputs) {
  return at::empty(checked_shape(x, values, scale, bias, outputs), x.options());
}

}  // namespace

at::Tensor packed_linear(const at::Tensor& x, const at::Tensor& values, const std::optional<at::Tensor>& scale,
                         const std::optional<at::Tensor>& bias, int64_t outputs) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("brain2music::packed_linear", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                                               const std::optional<at::Tensor>&, int64_t)>();
  return op.call(x, values, scale, bias, outputs);
}

TORCH_LIBRARY_FRAGMENT(brain2music, library) {
  library.def("packed_linear(Tensor x, Tensor values, Tensor? scale, Tensor? bias, int outputs) -> Tensor");
}
TORCH_LIBRARY_IMPL(brain2music, CPU, library) { library.impl("packed_linear", packed_linear_cpu); }
TORCH_LIBRARY_IMPL(brain2music, Meta, library) { library.impl("packed_linear", packed_linear_meta); }
TORCH_LIBRARY_IMPL(brain2music, Autograd, library) {
  library.impl("packed_linear", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace brain2music::linalg
