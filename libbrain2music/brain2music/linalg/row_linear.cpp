#include "brain2music/linalg/row_linear.h"

#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

namespace brain2music::linalg {
namespace {

// One order of sums for all processors: feature k is added to chain k % 16, and the chains are then added in pairs.
// AVX2 holds the chains in two registers, AVX-512 could hold them in one.
constexpr int64_t lanes = 8;
constexpr int64_t chains = 2 * lanes;

// A tile's sums fill 12 of 16 registers.
constexpr int64_t tile_rows = 2;
constexpr int64_t tile_outputs = 3;

// One row reads more weights at once, each of them once.
constexpr int64_t outputs_of_one_row = 4;

// Rows whose features stay in the second-level cache while the weights pass by.
constexpr int64_t cached_features = int64_t{1} << 17;

// Products of a thread's share, at least: about 10 microseconds, which is what starting a thread's work costs.
constexpr int64_t products_of_a_thread = int64_t{1} << 16;

using Lanes = float __attribute__((vector_size(lanes * sizeof(float))));

/// Sums of one row and one output.
struct Chains {
  Lanes first{};
  Lanes second{};

  /// Adds all chains, always in this order.
  float sum() const {
    const Lanes halves = first + second;
    return ((halves[0] + halves[4]) + (halves[2] + halves[6])) + ((halves[1] + halves[5]) + (halves[3] + halves[7]));
  }
};

[[gnu::always_inline]] inline Lanes load(const float* from) {
  Lanes values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

/// The last features of a row, with zeros after them.
using Rest = std::array<float, chains>;

/// Operands and result of a product, contiguous.
struct Product {
  const float* x;
  const float* weight;
  const float* bias;  ///< null for none
  float* y;
  int64_t features;
  int64_t outputs;
};

/// Computes y for `rows` rows from `row` and `outputs` outputs from `output`. Every instance adds in one order.
template <std::size_t rows, std::size_t outputs>
void tile(const Product& product, int64_t row, int64_t output) {
  const int64_t features = product.features;
  const float* x = product.x + row * features;
  const float* weight = product.weight + output * features;
  std::array<Chains, rows * outputs> sums{};
  const auto each = [&]<std::size_t... i>(std::index_sequence<i...>, const auto& use) { (use(i), ...); };
  constexpr auto all_rows = std::make_index_sequence<rows>{};
  constexpr auto all_outputs = std::make_index_sequence<outputs>{};
  const auto add = [&](const float* x_from, int64_t x_step, const float* weight_from, int64_t weight_step) {
    each(all_outputs, [&](std::size_t o) {
      const Lanes w0 = load(weight_from + static_cast<int64_t>(o) * weight_step);
      const Lanes w1 = load(weight_from + static_cast<int64_t>(o) * weight_step + lanes);
      each(all_rows, [&](std::size_t r) {
        const float* values = x_from + static_cast<int64_t>(r) * x_step;
        sums[r * outputs + o].first += load(values) * w0;
        sums[r * outputs + o].second += load(values + lanes) * w1;
      });
    });
  };
  const int64_t whole = features - features % chains;
  for (int64_t k = 0; k < whole; k += chains) {
    add(x + k, features, weight + k, features);
  }
  if (whole < features) {
    std::array<Rest, rows> x_rest{};
    std::array<Rest, outputs> weight_rest{};
    for (std::size_t r = 0; r < rows; ++r) {
      std::copy_n(x + static_cast<int64_t>(r) * features + whole, features - whole, x_rest[r].data());
    }
    for (std::size_t o = 0; o < outputs; ++o) {
      std::copy_n(weight + static_cast<int64_t>(o) * features + whole, features - whole, weight_rest[o].data());
    }
    add(x_rest[0].data(), chains, weight_rest[0].data(), chains);
  }
  for (std::size_t r = 0; r < rows; ++r) {
    float* y = product.y + (row + static_cast<int64_t>(r)) * product.outputs + output;
    for (std::size_t o = 0; o < outputs; ++o) {
      const float sum = sums[r * outputs + o].sum();
      y[o] = product.bias == nullptr ? sum : sum + product.bias[output + static_cast<int64_t>(o)];
    }
  }
}

/// Computes y for the rows from `first` to `last` and `outputs` outputs from `output`.
template <std::size_t outputs>
void strip(const Product& product, int64_t first, int64_t last, int64_t output) {
  int64_t row = first;
  for (; row + tile_rows <= last; row += tile_rows) {
    tile<tile_rows, outputs>(product, row, output);
  }
  if (row < last) {
    tile<1, outputs>(product, row, output);
  }
}

void one_row(const Product& product, int64_t first, int64_t last) {
  int64_t output = first;
  for (; output + outputs_of_one_row <= last; output += outputs_of_one_row) {
    tile<1, outputs_of_one_row>(product, 0, output);
  }
  for (; output < last; ++output) {
    tile<1, 1>(product, 0, output);
  }
}

void many_rows(const Product& product, int64_t rows, int64_t first, int64_t last) {
  const int64_t at_once = std::max(tile_rows, cached_features / std::max<int64_t>(1, product.features));
  for (int64_t row = 0; row < rows; row += at_once) {
    const int64_t end = std::min(row + at_once, rows);
    int64_t output = first;
    for (; output + tile_outputs <= last; output += tile_outputs) {
      strip<tile_outputs>(product, row, end, output);
    }
    for (; output < last; ++output) {
      strip<1>(product, row, end, output);
    }
  }
}

/// Whether the product is one of ours: at::linear does all others, and refuses operands that do not fit.
bool is_ours(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  const auto plain = [](const at::Tensor& tensor) {
    return tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided;
  };
  return plain(x) && plain(weight) && x.dim() >= 1 && weight.dim() == 2 && x.size(-1) == weight.size(1) &&
         (!bias || (plain(*bias) && bias->dim() == 1 && bias->size(0) == weight.size(0)));
}

at::Tensor row_linear_cpu(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  if (!is_ours(x, weight, bias)) {
    return at::linear(x, weight, bias);
  }
  const int64_t outputs = weight.size(0);
  const int64_t features = weight.size(1);
  const at::Tensor left = x.contiguous();
  const at::Tensor right = weight.contiguous();
  const at::Tensor added = bias ? bias->contiguous() : at::Tensor();
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = outputs;
  at::Tensor y = at::empty(shape, x.options());
  if (y.numel() == 0) {
    return y;
  }
  const int64_t rows = y.numel() / outputs;
  const Product product{left.const_data_ptr<float>(),
                        right.const_data_ptr<float>(),
                        bias ? added.const_data_ptr<float>() : nullptr,
                        y.mutable_data_ptr<float>(),
                        features,
                        outputs};
  const int64_t share = products_of_a_thread / std::max<int64_t>(1, rows * features) + 1;
  at::parallel_for(0, outputs, share, [&](int64_t first, int64_t last) {
    if (rows == 1) {
      one_row(product, first, last);
    } else {
      many_rows(product, rows, first, last);
    }
  });
  return y;
}

at::Tensor row_linear_elsewhere(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  return at::linear(x, weight, bias);
}

}  // namespace

at::Tensor row_linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("brain2music::row_linear", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&)>();
  return op.call(x, weight, bias);
}

TORCH_LIBRARY_FRAGMENT(brain2music, library) {
  library.def("row_linear(Tensor x, Tensor weight, Tensor? bias=None) -> Tensor");
}
TORCH_LIBRARY_IMPL(brain2music, CPU, library) { library.impl("row_linear", row_linear_cpu); }
TORCH_LIBRARY_IMPL(brain2music, CUDA, library) { library.impl("row_linear", row_linear_elsewhere); }
TORCH_LIBRARY_IMPL(brain2music, Meta, library) { library.impl("row_linear", row_linear_elsewhere); }
TORCH_LIBRARY_IMPL(brain2music, Autograd, library) {
  library.impl("row_linear", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace brain2music::linalg
