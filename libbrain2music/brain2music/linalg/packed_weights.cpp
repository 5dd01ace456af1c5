#include "brain2music/linalg/packed_weights.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <new>
#include <type_traits>

#include "brain2music/check.h"
#include "brain2music/linalg/packed_tile.h"

namespace brain2music::linalg {
namespace {

constexpr auto where = "linalg.pack";
constexpr float largest_int8 = 127;

bool is_packable(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf || dtype == at::kChar;
}

/// Memory in large pages where there are such: a product reads its weights once, from end to end.
at::Tensor large_pages(at::IntArrayRef shape, at::ScalarType dtype) {
  constexpr std::size_t page = std::size_t{1} << 21;
  std::size_t bytes = c10::elementSize(dtype);
  for (const int64_t size : shape) {
    bytes *= static_cast<std::size_t>(size);
  }
  const std::size_t alignment = bytes >= page ? page : 64;
  const std::size_t whole = std::max<std::size_t>(1, (bytes + alignment - 1) / alignment) * alignment;
  void* const memory = std::aligned_alloc(alignment, whole);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
#if defined(__linux__)
  if (alignment == page) {
    (void)madvise(memory, whole, MADV_HUGEPAGE);  // a wish: where it is not granted pages are small
  }
#endif
  return at::from_blob(memory, shape, [](void* held) { std::free(held); }, at::TensorOptions().dtype(dtype));
}

/// The place in a block where the weight of an output for feature k stands.
template <class Stored>
constexpr int64_t place_of(int64_t output, int64_t k) {
  constexpr int64_t half = block_outputs / 2;
  if constexpr (std::is_same_v<Stored, c10::BFloat16>) {
    return k * block_outputs + output % half * 2 + output / half;
  } else if constexpr (std::is_same_v<Stored, int8_t>) {
    return k / 2 * 2 * block_outputs + output * 2 + k % 2;
  } else {
    return k * block_outputs + output;
  }
}

/// The unit of int8 for each output: its largest weight becomes 127.
at::Tensor scale_of(const at::Tensor& weights) {
  const int64_t features = weights.size(1);
  at::Tensor scale = at::empty({weights.size(0)}, at::kFloat);
  const auto* const from = weights.const_data_ptr<float>();
  auto* const to = scale.mutable_data_ptr<float>();
  at::parallel_for(0, weights.size(0), 1, [&](int64_t first, int64_t last) {
    for (int64_t output = first; output < last; ++output) {
      float most = 0;
      for (int64_t k = 0; k < features; ++k) {
        const float size = std::abs(from[output * features + k]);
        most = size <= most ? most : size;  // NaN goes through
      }
      to[output] = most / largest_int8;
    }
  });
  return scale;
}

/// A weight as it is stored, in int8 by the unit of its output.
template <class Stored>
Stored stored(float weight, float unit) {
  if constexpr (std::is_same_v<Stored, int8_t>) {
    // clamped, since a unit below 1e-38 is rounded itself
    return unit == 0 ? int8_t{0}
                     : static_cast<int8_t>(std::clamp(std::nearbyint(weight / unit), -largest_int8, largest_int8));
  } else {
    return static_cast<Stored>(weight);
  }
}

template <class Stored>
void put(const at::Tensor& weights, const at::Tensor& values, const float* scale = nullptr) {
  const int64_t outputs = weights.size(0);
  const int64_t features = weights.size(1);
  const auto* const from = weights.const_data_ptr<float>();
  auto* const to = values.mutable_data_ptr<Stored>();
  at::parallel_for(0, values.size(0), 1, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      Stored* const its = to + block * values.size(1) * block_outputs;
      for (int64_t lane = 0; lane < block_outputs; ++lane) {
        const int64_t output = block * block_outputs + lane;
        for (int64_t k = 0; k < values.size(1); ++k) {
          its[place_of<Stored>(lane, k)] =
              output < outputs && k < features
                  ? stored<Stored>(from[output * features + k], scale == nullptr ? 0 : scale[output])
                  : Stored{};
        }
      }
    }
  });
}

template <class Stored>
void take(const at::Tensor& values, const at::Tensor& weights) {
  const int64_t outputs = weights.size(0);
  const int64_t features = weights.size(1);
  const auto* const from = values.const_data_ptr<Stored>();
  auto* const to = weights.mutable_data_ptr<float>();
  for (int64_t output = 0; output < outputs; ++output) {
    const Stored* const its = from + output / block_outputs * values.size(1) * block_outputs;
    for (int64_t k = 0; k < features; ++k) {
      to[output * features + k] = static_cast<float>(its[place_of<Stored>(output % block_outputs, k)]);
    }
  }
}

}  // namespace

PackedWeights pack(const at::Tensor& weights, at::ScalarType dtype) {
  require(is_packable(dtype), where, "dtype must be float32, bfloat16, float16 or int8; got ", dtype);
  require(weights.dim() == 2 && weights.is_cpu() && at::isFloatingType(weights.scalar_type()), where,
          "weights must be a matrix of real numbers on the CPU; got ", weights.scalar_type(), " of shape ",
          weights.sizes(), " on ", weights.device().str());
  const at::Tensor plain = weights.detach().to(at::kFloat).contiguous();
  PackedWeights packed;
  at::Tensor scale;
  if (dtype == at::kChar) {
    scale = scale_of(plain);
    require(scale.isfinite().all().item<bool>(), where, "weights must be finite; got NaN or Inf");
    packed.scale = scale;
  }
  const int64_t blocks = (plain.size(0) + block_outputs - 1) / block_outputs;
  const int64_t features = dtype == at::kChar ? whole_features(plain.size(1)) : plain.size(1);
  packed.values = large_pages({blocks, features, block_outputs}, dtype);
  switch (dtype) {
    case at::kFloat:
      put<float>(plain, packed.values);
      break;
    case at::kBFloat16:
      put<c10::BFloat16>(plain, packed.values);
      break;
    case at::kHalf:
      put<c10::Half>(plain, packed.values);
      break;
    default:
      put<int8_t>(plain, packed.values, scale.const_data_ptr<float>());
  }
  return packed;
}

at::Tensor unpacked(const PackedWeights& packed, int64_t outputs, int64_t features) {
  at::Tensor weights = at::empty({outputs, features}, at::kFloat);
  switch (packed.values.scalar_type()) {
    case at::kFloat:
      take<float>(packed.values, weights);
      break;
    case at::kBFloat16:
      take<c10::BFloat16>(packed.values, weights);
      break;
    case at::kHalf:
      take<c10::Half>(packed.values, weights);
      break;
    default:
      take<int8_t>(packed.values, weights);
  }
  return packed.scale ? weights * packed.scale->unsqueeze(1) : weights;
}

}  // namespace brain2music::linalg
