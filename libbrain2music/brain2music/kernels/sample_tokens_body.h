#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numbers>

#include "brain2music/kernels/host_device.h"

/// Arithmetic of sample_tokens. CPU and CUDA share it, so that both draw the same tokens.
namespace brain2music::kernels {

constexpr std::int64_t most_tokens = std::int64_t{1} << 22;  ///< longest row: its weights add up in 63 bits

/// Holds the options as the loops use them.
struct SampleSettings {
  double sharpness;     ///< 1 / temperature
  std::int64_t top_k;   ///< 0: all
  std::uint64_t top_p;  ///< in units of 2^-64; 0: all
  bool greedy;

  static SampleSettings of(double temperature, std::int64_t top_k, double top_p) {
    // Where 1 / temperature overflows, the greatest double serves: it, too, leaves the greatest logit alone.
    const double sharpness = temperature > 0 ? 1 / temperature : 0;
    return {std::fmin(sharpness, std::numeric_limits<double>::max()), top_k,
            top_p < 1 ? static_cast<std::uint64_t>(std::ceil(std::ldexp(top_p, 64))) : 0, temperature == 0};
  }
};

/// Returns a word with all bits set if the highest bit of `bits` is set, else 0.
B2M_HOST_DEVICE std::uint32_t spread_sign(std::uint32_t bits) {
  return static_cast<std::uint32_t>(static_cast<std::int32_t>(bits) >> 31);
}

/// Maps logits to integers of equal order; -0 equals 0, and NaN is above all. Compilers vectorise it, as there is no
/// comparison.
B2M_HOST_DEVICE std::uint32_t logit_key(float logit) {
  const float value = logit + 0.0F;
  std::uint32_t bits = 0;
  memcpy(&bits, &value, sizeof bits);
  const std::uint32_t nan = spread_sign(0x7F800000U - (bits & 0x7FFFFFFFU));
  return (bits ^ (spread_sign(bits) | 0x80000000U)) | nan;
}

/// Returns the logit of a key.
B2M_HOST_DEVICE float key_logit(std::uint32_t key) {
  const std::uint32_t bits = key ^ (spread_sign(~key) | 0x80000000U);
  float logit = 0;
  memcpy(&logit, &bits, sizeof logit);
  return logit;
}

/// Tells from its greatest key whether a row can be drawn from: it must lie between the keys of -Inf and Inf.
B2M_HOST_DEVICE bool drawable(std::uint32_t greatest) { return greatest > 0x007FFFFFU && greatest < 0xFF800000U; }

/// Returns exp((logit - greatest) * sharpness) * 2^40, rounded to the nearest integer: at most 2^40.
///
/// exp(x) = 2^k exp(r), with k = round(x / ln 2) and |r| <= ln(2) / 2: a polynomial of degree 11 errs by less than
/// 2^-47. No multiplication is followed by an addition that a compiler could fuse or not (fma says which), so host and
/// device compute the same bits; no branch, so compilers vectorise it.
B2M_HOST_DEVICE std::uint64_t logit_weight(float logit, float greatest, double sharpness) {
  constexpr double round_off = 0x1.8p52;  // added to a small number, it leaves the nearest integer in the lowest bits
  constexpr double ln2_rest = 0x1.abc9e3b39803fp-56;  // ln 2 less std::numbers::ln2
  constexpr double one = 0x1p52;                      // integers below it are the lowest bits of their sum with it
  const double scaled = (static_cast<double>(logit) - static_cast<double>(greatest)) * sharpness;
  const double x = scaled > -40 ? scaled : -40.0;  // exp(-40) 2^40 rounds to 0; so does -Inf
  const double shifted = fma(x, std::numbers::log2e, round_off);
  const double k = shifted - round_off;
  const double r = fma(k, -ln2_rest, fma(k, -std::numbers::ln2, x));
  double p = 1.0 / 39916800;
  p = fma(p, r, 1.0 / 3628800);
  p = fma(p, r, 1.0 / 362880);
  p = fma(p, r, 1.0 / 40320);
  p = fma(p, r, 1.0 / 5040);
  p = fma(p, r, 1.0 / 720);
  p = fma(p, r, 1.0 / 120);
  p = fma(p, r, 1.0 / 24);
  p = fma(p, r, 1.0 / 6);
  p = fma(p, r, 0.5);
  p = fma(p, r, 1.0);
  p = fma(p, r, 1.0);
  std::uint64_t exponent = 0;
  memcpy(&exponent, &shifted, sizeof exponent);
  exponent = (exponent + 1023 + 40) << 52U;  // of 2^(k + 40)
  double power = 0;
  memcpy(&power, &exponent, sizeof power);
  const double weight = fma(p, power, one);
  std::uint64_t bits = 0;
  memcpy(&bits, &weight, sizeof bits);
  return bits - 0x4330000000000000U;  // the bits of `one`
}

struct Product128 {
  std::uint64_t high;
  std::uint64_t low;
};

B2M_HOST_DEVICE Product128 product_of(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return {static_cast<std::uint64_t>(product >> 64U), static_cast<std::uint64_t>(product)};
}

/// Returns the sum of weights that top-p must reach: ceil(top_p * total / 2^64).
B2M_HOST_DEVICE std::uint64_t needed_weight(std::uint64_t top_p, std::uint64_t total) {
  const Product128 product = product_of(top_p, total);
  return product.high + (product.low != 0 ? 1 : 0);
}

/// Returns floor(u * total), with u = random / 2^64. The token drawn is the first whose running sum of weights exceeds
/// it.
B2M_HOST_DEVICE std::uint64_t drawn_weight(std::uint64_t random, std::uint64_t total) {
  return product_of(random, total).high;
}

/// Returns the first two words of Philox4x32-10 (Salmon et al. 2011). at::Philox4_32(seed, stream, step) gives them
/// too, but nvcc cannot compile that class without many torch headers.
B2M_HOST_DEVICE std::uint64_t random_bits(std::uint64_t seed, std::uint64_t stream, std::uint64_t step) {
  auto key_0 = static_cast<std::uint32_t>(seed);
  auto key_1 = static_cast<std::uint32_t>(seed >> 32U);
  auto word_0 = static_cast<std::uint32_t>(step);
  auto word_1 = static_cast<std::uint32_t>(step >> 32U);
  auto word_2 = static_cast<std::uint32_t>(stream);
  auto word_3 = static_cast<std::uint32_t>(stream >> 32U);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product_0 = std::uint64_t{0xD2511F53U} * word_0;
    const std::uint64_t product_2 = std::uint64_t{0xCD9E8D57U} * word_2;
    word_0 = static_cast<std::uint32_t>(product_2 >> 32U) ^ word_1 ^ key_0;
    word_1 = static_cast<std::uint32_t>(product_2);
    word_2 = static_cast<std::uint32_t>(product_0 >> 32U) ^ word_3 ^ key_1;
    word_3 = static_cast<std::uint32_t>(product_0);
    key_0 += 0x9E3779B9U;
    key_1 += 0xBB67AE85U;
  }
  return std::uint64_t{word_0} << 32U | word_1;
}

/// Digits of keys. A threshold is found digit by digit, the highest first, from the sums of the keys of each digit.
struct KeyDigits {
  static constexpr int bins = 256;
  static constexpr int first_shift = 24;  ///< of 32 bits; then 16, 8 and 0

  B2M_HOST_DEVICE static std::uint32_t at(std::uint32_t key, int shift) { return key >> shift & 0xFFU; }

  /// Tells whether two keys have equal digits above `shift`.
  B2M_HOST_DEVICE static bool begin_alike(std::uint32_t key, std::uint32_t threshold, int shift) {
    return std::uint64_t{key ^ threshold} >> (shift + 8) == 0;
  }
};

/// A threshold with some of its digits known: keys at or above it add up to at least what is needed, and no greater
/// threshold of as many digits does.
struct KeyThreshold {
  std::uint32_t key;
  std::uint64_t needed;  ///< from the keys that begin with the known digits
  bool exact = false;    ///< all keys that begin with the known digits are needed: the other digits are 0

  /// Takes digit `bin`, if its keys add up to what is needed; else counts their sum in. Returns whether it was taken.
  B2M_HOST_DEVICE bool take(std::uint32_t bin, std::uint64_t sum, int shift) {
    if (sum < needed) {
      needed -= sum;
      return false;
    }
    key |= bin << shift;
    exact = sum == needed;
    return true;
  }
};

}  // namespace brain2music::kernels
