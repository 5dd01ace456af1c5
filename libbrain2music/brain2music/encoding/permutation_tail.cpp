#include "brain2music/encoding/permutation_tail.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/linalg_cholesky_ex.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <numeric>
#include <utility>
#include <vector>

namespace brain2music::encoding {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// From this weight on, one block in one place decides the score: the law is split by whether it stands there.
constexpr double decisive = 0.9;

constexpr int deepest_split = 3;

// Step of numeric derivatives by the tilt, in units where the score's standard deviation is 1.
constexpr double step = 0.05;

// Beyond this tilt the score is the best there is, or close to it.
constexpr double largest_tilt = 60;
constexpr int most_turns = 60;

double normal_tail(double z) { return 0.5 * std::erfc(z / std::numbers::sqrt2); }

double normal_density(double z) { return std::exp(-0.5 * z * z) / std::sqrt(2 * std::numbers::pi); }

/// Scalar product in eight sums, so that additions do not wait for each other.
double product(const double* a, const double* b, int64_t n) {
  std::array<double, 8> sums{};
  int64_t k = 0;
  for (; k + 8 <= n; k += 8) {
    for (int64_t l = 0; l < 8; ++l) {
      sums[l] += a[k + l] * b[k + l];
    }
  }
  for (; k < n; ++k) {
    sums[0] += a[k] * b[k];
  }
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

/// A matrix as a tensor on the same memory.
at::Tensor seen(std::vector<double>& matrix, int64_t n) { return at::from_blob(matrix.data(), {n, n}, at::kDouble); }

}  // namespace

/// exp(tilt * worth) as rows * weights * columns, where the weights' rows and columns sum to 1. The factors of one tilt
/// are a good start for the next.
struct PermutationLaw::Scaled {
  explicit Scaled(int64_t n)
      : weights(static_cast<std::size_t>(n * n)), rows(static_cast<std::size_t>(n), 1.0), columns(rows), sums(rows) {}

  std::vector<double> weights;
  std::vector<double> rows;
  std::vector<double> columns;
  std::vector<double> sums;
  double slope = 0;  // the mean of the tilted score, but for the determinant's share
};

PermutationLaw::PermutationLaw(std::vector<double> worth, int64_t n)
    : PermutationLaw(std::move(worth), std::vector<double>(static_cast<std::size_t>(n * n), 1.0), n) {}

PermutationLaw::PermutationLaw(std::vector<double> worth, std::vector<double> allowed, int64_t n)
    : n_(n), worth_(std::move(worth)), allowed_(std::move(allowed)) {
  std::vector<double> rows(static_cast<std::size_t>(n), 0.0);
  std::vector<double> columns(rows);
  double all = 0;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      const double value = worth_[i * n + j] / static_cast<double>(n);
      rows[i] += value;
      columns[j] += value;
      all += value / static_cast<double>(n);
    }
  }
  mean_ = all * static_cast<double>(n);
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double& value = worth_[i * n + j];
      value += all - rows[i] - columns[j];
      squares += value * value;
    }
  }
  deviation_ = std::sqrt(squares / static_cast<double>(std::max<int64_t>(n - 1, 1)));
  for (double& value : worth_) {
    value /= deviation_;
  }
}

/// Scales exp(tilt * worth) by rows and columns in turn; false where that does not settle.
bool PermutationLaw::scale(double tilt, Scaled& out) const {
  for (std::size_t k = 0; k < worth_.size(); ++k) {
    out.weights[k] = tilt * worth_[k];
  }
  seen(out.weights, n_).exp_();
  for (std::size_t k = 0; k < worth_.size(); ++k) {
    out.weights[k] *= allowed_[k];
  }
  constexpr int most_rounds = 2000;
  bool settled = false;
  for (int round = 0; round < most_rounds && !settled; ++round) {
    std::ranges::fill(out.sums, 0.0);
    for (int64_t i = 0; i < n_; ++i) {
      const double* row = out.weights.data() + i * n_;
      out.rows[i] = 1 / product(row, out.columns.data(), n_);
      for (int64_t j = 0; j < n_; ++j) {
        out.sums[j] += row[j] * out.rows[i];
      }
    }
    double change = 0;
    for (int64_t j = 0; j < n_; ++j) {
      change = std::max(change, std::abs(out.sums[j] * out.columns[j] - 1));
      out.columns[j] = 1 / out.sums[j];
    }
    settled = change < 1e-8;  // the permanent's error is of its square
  }
  out.slope = 0;
  for (int64_t i = 0; i < n_; ++i) {
    for (int64_t j = 0; j < n_; ++j) {
      double& weight = out.weights[i * n_ + j];
      weight *= out.rows[i] * out.columns[j];
      out.slope += weight * worth_[i * n_ + j];
    }
  }
  return settled && std::isfinite(out.slope);
}

/// log of the permanent of exp(tilt * worth), but for a constant.
bool PermutationLaw::log_permanent(double tilt, Scaled& out, double& value) const {
  if (!scale(tilt, out)) {
    return false;
  }
  // The determinant of McCullagh's formula, I + 1/n - weights' weights.
  const at::Tensor weights = seen(out.weights, n_);
  at::Tensor matrix = at::full_like(weights, 1.0 / static_cast<double>(n_));
  matrix.diagonal().add_(1);
  const auto [factor, failed] = at::linalg_cholesky_ex(matrix.addmm_(weights.t(), weights, 1, -1));
  if (failed.item<int32_t>() != 0) {
    return false;
  }
  value = -factor.diagonal().log().sum().item<double>();
  for (int64_t i = 0; i < n_; ++i) {
    value -= std::log(out.rows[i]) + std::log(out.columns[i]);
  }
  return std::isfinite(value);
}

double PermutationLaw::upper_tail(double score) const { return deviation_ > 0 ? tail(score, 0) : nan; }

/// The law where block `row` stands in place `column`, and where it does not: `share` is the first one's probability.
// NOLINTNEXTLINE(misc-no-recursion): tail() and split() call each other deepest_split times at most
double PermutationLaw::split(double score, int64_t row, int64_t column, double share, int depth) const {
  const int64_t left = n_ - 1;
  std::vector<double> worth;
  std::vector<double> allowed;
  worth.reserve(static_cast<std::size_t>(left * left));
  allowed.reserve(worth.capacity());
  for (int64_t i = 0; i < n_; ++i) {
    for (int64_t j = 0; j < n_; ++j) {
      if (i != row && j != column) {
        worth.push_back(worth_[i * n_ + j]);
        allowed.push_back(allowed_[i * n_ + j]);
      }
    }
  }
  const double standard = (score - mean_) / deviation_;
  const PermutationLaw within(std::move(worth), std::move(allowed), left);
  PermutationLaw without = *this;
  without.allowed_[row * n_ + column] = 0;
  if (!(within.deviation_ > 0)) {
    return nan;
  }
  return share * within.tail(standard - worth_[row * n_ + column], depth + 1) +
         (1 - share) * without.tail(score, depth + 1);
}

/// Bounds the probability of a standard score z from above, by any tilt (Chernoff). It stands in where scores are so
/// rare that the law itself cannot be told.
double PermutationLaw::bound(double tilt, double z, double base, Scaled& scaled) const {
  double value = 0;
  return log_permanent(tilt, scaled, value) ? std::min(std::exp(value - base - tilt * z), 1.0) : nan;
}

// NOLINTNEXTLINE(misc-no-recursion)
double PermutationLaw::tail(double score, int depth) const {
  const double z = (score - mean_) / deviation_;
  Scaled scaled(n_);
  double base = 0;
  if (!log_permanent(0, scaled, base)) {
    return nan;
  }
  const std::vector<double> even = scaled.weights;
  // The tilt at which the mean of the tilted score is z: by secants, the determinant left aside at first.
  double tilt = 0;
  double curvature = 1;
  double slope = scaled.slope;
  bool reached = false;
  for (int turn = 0; turn < most_turns && !reached && std::abs(tilt) < largest_tilt; ++turn) {
    const double moved = std::clamp((z - slope) / curvature, -2.0, 2.0);
    reached = std::abs(moved) < 1e-3;
    if (reached) {
      break;
    }
    if (!scale(tilt + moved, scaled)) {
      break;
    }
    curvature = std::max((scaled.slope - slope) / moved, 1e-3);
    slope = scaled.slope;
    tilt += moved;
  }
  if (!scale(tilt, scaled)) {
    return nan;
  }
  const auto heaviest = std::ranges::max_element(scaled.weights) - scaled.weights.begin();
  if (scaled.weights[heaviest] > decisive && depth < deepest_split) {
    return split(score, heaviest / n_, heaviest % n_, even[heaviest], depth);
  }
  if (!reached || scaled.weights[heaviest] > decisive) {
    return bound(tilt, z, base, scaled);
  }
  double value = 0;
  for (int turn = 0; turn < 3; ++turn) {
    std::array<double, 3> around{};
    for (int k = 0; k < 3; ++k) {
      if (!log_permanent(tilt + (k - 1) * step, scaled, around[k])) {
        return bound(tilt, z, base, scaled);
      }
    }
    value = around[1] - base;
    slope = (around[2] - around[0]) / (2 * step);
    curvature = (around[0] - 2 * around[1] + around[2]) / (step * step);
    if (!(curvature > 0)) {
      return nan;
    }
    const double moved = (z - slope) / curvature;
    if (std::abs(moved) < 0.15 || turn == 2) {
      // The generating function at the saddlepoint itself, a little away from what was evaluated: to second order.
      value += moved * slope + 0.5 * moved * moved * curvature;
      tilt += moved;
      break;
    }
    tilt += std::clamp(moved, -1.0, 1.0);
  }
  const double squared = 2 * (tilt * z - value);
  const double w = std::copysign(std::sqrt(std::max(squared, 0.0)), tilt);
  const double u = tilt * std::sqrt(curvature);
  if (std::abs(w) < 0.1) {  // where Lugannani and Rice divide nothing by nothing
    return normal_tail(w);
  }
  const double p = normal_tail(w) + normal_density(w) * (1 / u - 1 / w);
  return p > 0 && p < 1 ? p : nan;
}

at::Tensor permutation_tail(const at::Tensor& predicted, const at::Tensor& observed) {
  const int64_t n = predicted.size(0);
  const int64_t rows = predicted.size(1);
  const int64_t voxels = predicted.size(2);
  at::Tensor tails = at::empty({voxels}, predicted.options());
  const auto* p = predicted.const_data_ptr<double>();
  const auto* y = observed.const_data_ptr<double>();
  auto* out = tails.mutable_data_ptr<double>();
  at::parallel_for(0, voxels, 1, [&](int64_t first, int64_t last) {
    for (int64_t v = first; v < last; ++v) {
      std::vector<double> worth(static_cast<std::size_t>(n * n), 0.0);
      double own = 0;
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          for (int64_t row = 0; row < rows; ++row) {
            worth[i * n + j] += p[(i * rows + row) * voxels + v] * y[(j * rows + row) * voxels + v];
          }
        }
        own += worth[i * n + i];
      }
      out[v] = PermutationLaw(std::move(worth), n).upper_tail(own);
    }
  });
  return tails;
}

}  // namespace brain2music::encoding
