#include "brain2music/linalg/packed_linear.h"

#include <ATen/TensorOperators.h>
#include <ATen/Version.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <algorithm>
#include <bit>
#include <cmath>
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
constexpr int64_t rows_of_a_chunk = 8;
constexpr int64_t fewest_rows_apart = 4;

constexpr float largest_whole = 32767;

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
  const int64_t features = values.scalar_type() == at::kChar ? whole_features(x.size(-1)) : x.size(-1);
  require(packed && values.size(0) == (outputs + block_outputs - 1) / block_outputs && values.size(1) == features,
          where, "values must be (blocks of 16 outputs, features, 16) for ", outputs, " outputs and ", x.size(-1),
          " features; got ", values.sizes());
  require(values.scalar_type() != at::kChar || scale, where, "int8 values must have a scale; got none");
  for (const auto& each : {scale, bias}) {
    require(!each || (each->dim() == 1 && each->size(0) == outputs && each->scalar_type() == at::kFloat), where,
            "scale and bias must be float32, one for each of ", outputs, " outputs; got ",
            each.value_or(at::Tensor()).toString());
  }
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = outputs;
  return shape;
}

/// Writes a row as whole numbers in a unit of its own: its largest becomes 32767.
void to_whole(const float* from, int64_t features, int16_t* to, float& unit) {
  constexpr uint32_t without_sign = 0x7fffffff;
  uint32_t largest = 0;  // the bits of a float that is not negative are ordered as it is
  for (int64_t k = 0; k < features; ++k) {
    largest = std::max(largest, std::bit_cast<uint32_t>(from[k]) & without_sign);
  }
  const auto most = std::bit_cast<float>(largest);
  const float units = largest_whole / most;
  unit = most / largest_whole;
  // Where x is not finite, the unit is not either, and so no output. Numbers below 1e-34 count as 0.
  const bool exists = std::isfinite(most) && std::isfinite(units);
  for (int64_t k = 0; k < features; ++k) {
    to[k] = exists ? static_cast<int16_t>(std::nearbyint(from[k] * units)) : int16_t{0};
  }
  std::fill(to + features, to + whole_features(features), int16_t{0});
}

/// Numbers from a row to the next: rows a multiple of a kilobyte apart would share a few places of the first-level
/// cache.
int64_t row_step(int64_t rows, int64_t numbers, int64_t bytes) {
  constexpr int64_t sharing = 1024;
  constexpr int64_t line = 64;
  return rows < fewest_rows_apart || numbers * bytes % sharing != 0 ? numbers : numbers + line / bytes;
}

/// Rows of x as packed products read them.
struct Rows {
  Rows(const at::Tensor& x, int64_t rows, bool whole) {
    const int64_t features = x.size(-1);
    const at::Tensor from = x.reshape({rows, features});
    if (whole) {
      step = row_step(rows, whole_features(features), sizeof(int16_t));
      values = at::empty({rows, step}, at::kShort);
      unit = at::empty({rows}, at::kFloat);
      write_whole(from.contiguous());
      return;
    }
    step = row_step(rows, features, sizeof(float));
    values = step == features ? from.contiguous() : at::empty({rows, step}, at::kFloat);
    if (step != features) {
      values.narrow(1, 0, features).copy_(from);
    }
  }

  at::Tensor values;  // (rows, step) float32, or int16
  at::Tensor unit;    // (rows,) float32, of int16
  int64_t step = 0;

 private:
  void write_whole(const at::Tensor& x) const {
    const auto* from = x.const_data_ptr<float>();
    auto* to = values.mutable_data_ptr<int16_t>();
    auto* units = unit.mutable_data_ptr<float>();
    const int64_t features = x.size(1);
    const int64_t rows = x.size(0);
    share_out((rows + rows_of_a_chunk - 1) / rows_of_a_chunk, [&](int64_t chunk) {
      for (int64_t row = chunk * rows_of_a_chunk; row < std::min(rows, (chunk + 1) * rows_of_a_chunk); ++row) {
        to_whole(from + row * features, features, to + row * step, units[row]);
      }
    });
  }
};

at::Tensor packed_linear_cpu(const at::Tensor& x, const at::Tensor& values, const std::optional<at::Tensor>& scale,
                             const std::optional<at::Tensor>& bias, int64_t outputs) {
  at::Tensor y = at::empty(checked_shape(x, values, scale, bias, outputs), x.options());
  if (y.numel() == 0) {
    return y;
  }
  const at::Tensor scaled = scale ? scale->contiguous() : at::Tensor();
  const at::Tensor added = bias ? bias->contiguous() : at::Tensor();
  const bool whole = values.scalar_type() == at::kChar;
  const Rows rows(x, y.numel() / outputs, whole);
  const PackedProduct product{whole ? nullptr : rows.values.const_data_ptr<float>(),
                              whole ? rows.values.const_data_ptr<int16_t>() : nullptr,
                              rows.step,
                              whole ? rows.unit.const_data_ptr<float>() : nullptr,
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
