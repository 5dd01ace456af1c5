#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "brain2music/kernels/host_device.h"

/// The arithmetic of cosine_top_k, shared by CPU and CUDA, so that both give the same bits.
namespace brain2music::kernels {

/// Sums of products in float64, in four chains (dimension i in chain i % 4) that are added up in one fixed way. The
/// product of two float32 is exact in float64, so it makes no difference whether a compiler fuses it into the sum.
struct ProductSum {
  static constexpr int chains = 4;
  std::array<double, chains> chain{};

  /// Adds the products of dimensions first to last; first is a multiple of `chains`.
  template <class X, class Y>
  B2M_HOST_DEVICE void add(const X* x, std::int64_t x_stride, const Y* y, std::int64_t count) {
    std::int64_t i = 0;
    for (; i + chains <= count; i += chains) {
      for (int c = 0; c < chains; ++c) {
        chain[c] += static_cast<double>(x[(i + c) * x_stride]) * static_cast<double>(y[i + c]);
      }
    }
    for (int c = 0; c < chains; ++c) {
      if (i + c < count) {
        chain[c] += static_cast<double>(x[(i + c) * x_stride]) * static_cast<double>(y[i + c]);
      }
    }
  }

  B2M_HOST_DEVICE double total() const { return (chain[0] + chain[1]) + (chain[2] + chain[3]); }
};

B2M_HOST_DEVICE double product_sum(const float* x, const float* y, std::int64_t d) {
  ProductSum sum;
  sum.add(x, 1, y, d);
  return sum.total();
}

B2M_HOST_DEVICE double row_norm(const float* x, std::int64_t d) { return sqrt(product_sum(x, x, d)); }

/// Whether a row has a direction; neither a row of zeros nor one with NaN or Inf has. (Squares of float32 do not
/// overflow float64.)
B2M_HOST_DEVICE bool has_direction(double norm) { return norm > 0 && norm < HUGE_VAL; }

/// What a cosine is ranked and returned as; never -0.
B2M_HOST_DEVICE float cosine_score(double product, double norm_x, double norm_y) {
  return static_cast<float>(product / (norm_x * norm_y)) + 0.0F;
}

/// Score and row as one number: greater means better, a lower row wins among equal scores, and no two are equal. Rows
/// are below 2^32.
B2M_HOST_DEVICE std::int64_t rank_key(float score, std::int64_t row) {
  std::int32_t bits = 0;
  memcpy(&bits, &score, sizeof bits);
  const std::int32_t ordered = bits >= 0 ? bits : bits ^ 0x7FFFFFFF;
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(static_cast<std::int64_t>(ordered)) << 32U |
                                   (0xFFFFFFFFU - static_cast<std::uint64_t>(row)));
}

B2M_HOST_DEVICE std::int64_t row_of(std::int64_t key) {
  return static_cast<std::int64_t>(0xFFFFFFFFU - (static_cast<std::uint64_t>(key) & 0xFFFFFFFFU));
}

B2M_HOST_DEVICE float score_of(std::int64_t key) {
  const auto ordered = static_cast<std::int32_t>(key >> 32);
  const std::int32_t bits = ordered >= 0 ? ordered : ordered ^ 0x7FFFFFFF;
  float score = 0;
  memcpy(&score, &bits, sizeof score);
  return score;
}

}  // namespace brain2music::kernels
