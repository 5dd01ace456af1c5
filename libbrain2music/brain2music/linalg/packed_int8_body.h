#pragma once

#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "brain2music/linalg/packed_tile.h"
#include "brain2music/linalg/vector_lanes.h"

/// Products of int8 weights with x in 16 bits: sums of two products are one instruction, and whole numbers add up to
/// the same in any order. Included as packed_tile_body.h is.
namespace brain2music::linalg {
namespace {  // NOLINT(cert-dcl59-cpp,misc-anonymous-namespace-in-header): that is the point

// NOLINTBEGIN(modernize-avoid-c-arrays,cppcoreguidelines-avoid-c-arrays): std::array's functions have external linkage

constexpr int block = 16;       // outputs
constexpr int64_t piece = 256;  // features whose products are added up before they go to the total

/// A tile with this policy fetches nothing ahead: weights are read once, and the processor sees them coming.
struct NothingAhead {
  [[gnu::always_inline]] static void fetch(int64_t /*feature*/) {}
};

/// A part of the weights that come next. The first tile of some rows reads weights from memory as fast as it comes,
/// the tiles of other rows find them in the cache; so each of them fetches its part ahead, and memory never rests.
struct PartAhead {
  const char* from;
  int64_t step;  // bytes for each feature
  [[gnu::always_inline]] void fetch(int64_t feature) const { __builtin_prefetch(from + feature * step); }
};

/// Weights for two features of so many outputs, widened to 16 bits.
template <int outputs>
[[gnu::always_inline]] inline Vector<int16_t, 2 * outputs> read_pairs(const int8_t* from) {
#if defined(__AVX512BW__)
  if constexpr (outputs == 16) {
    return reinterpret_cast<Vector<int16_t, 2 * outputs>>(_mm512_cvtepi8_epi16(load<__m256i>(from)));
  }
#endif
#if defined(__AVX2__)
  if constexpr (outputs == 8) {
    return reinterpret_cast<Vector<int16_t, 2 * outputs>>(_mm256_cvtepi8_epi16(load<__m128i>(from)));
  }
#endif
  return __builtin_convertvector(load<Vector<int8_t, 2 * outputs>>(from), Vector<int16_t, 2 * outputs>);
}

/// Of each output, the sum of its two products.
template <int outputs>
[[gnu::always_inline]] inline Vector<int32_t, outputs> sums_of_pairs(const Vector<int16_t, 2 * outputs>& weights,
                                                                     int32_t both) {
#if defined(__AVX512BW__)
  if constexpr (outputs == 16) {
    return reinterpret_cast<Vector<int32_t, outputs>>(
        _mm512_madd_epi16(reinterpret_cast<__m512i>(weights), _mm512_set1_epi32(both)));
  }
#endif
#if defined(__AVX2__)
  if constexpr (outputs == 8) {
    return reinterpret_cast<Vector<int32_t, outputs>>(
        _mm256_madd_epi16(reinterpret_cast<__m256i>(weights), _mm256_set1_epi32(both)));
  }
#endif
  const auto x = load<Vector<int16_t, 2>>(&both);
  Vector<int32_t, outputs> sums{};
  for (int i = 0; i < outputs; ++i) {
    sums[i] = weights[2 * i] * x[0] + weights[2 * i + 1] * x[1];
  }
  return sums;
}

template <int lanes, int rows, int blocks, class Ahead>
void int8_tile(const PackedProduct& product, int64_t row, int64_t first_block, Ahead ahead) {
  constexpr int vectors = block / lanes;
  const int64_t features = whole_features(product.features);
  const auto* const weights = static_cast<const int8_t*>(product.weights) + first_block * features * block;
  const int16_t* const x = product.whole_x + row * product.x_step;
  Vector<float, lanes> total[blocks][rows][vectors] = {};
  for (int64_t from = 0; from < features; from += piece) {
    const int64_t to = from + piece < features ? from + piece : features;
    Vector<int32_t, lanes> sum[blocks][rows][vectors] = {};
    for (int64_t k = from; k < to; k += 2) {
      ahead.fetch(k);
#pragma GCC unroll 4
      for (int b = 0; b < blocks; ++b) {
        Vector<int16_t, 2 * lanes> weight[vectors];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) {
          weight[v] = read_pairs<lanes>(weights + (b * features + k) * block + v * 2 * lanes);
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
          const auto both = load<int32_t>(x + r * product.x_step + k);
#pragma GCC unroll 2
          for (int v = 0; v < vectors; ++v) {
            sum[b][r][v] += sums_of_pairs<lanes>(weight[v], both);
          }
        }
      }
    }
    for (int b = 0; b < blocks; ++b) {
      for (int r = 0; r < rows; ++r) {
        for (int v = 0; v < vectors; ++v) {
          total[b][r][v] += __builtin_convertvector(sum[b][r][v], Vector<float, lanes>);
        }
      }
    }
  }
  for (int b = 0; b < blocks; ++b) {
    const int64_t output = (first_block + b) * block;
    const int64_t rest = product.outputs - output;
    const int count = rest < block ? static_cast<int>(rest) : block;
    for (int r = 0; r < rows; ++r) {
      float* const y = product.y + (row + r) * product.outputs + output;
      for (int i = 0; i < count; ++i) {
        const float scaled = total[b][r][i / lanes][i % lanes] * (product.unit[row + r] * product.scale[output + i]);
        y[i] = product.bias == nullptr ? scaled : scaled + product.bias[output + i];
      }
    }
  }
}

// NOLINTEND(modernize-avoid-c-arrays,cppcoreguidelines-avoid-c-arrays)

}  // namespace
}  // namespace brain2music::linalg
