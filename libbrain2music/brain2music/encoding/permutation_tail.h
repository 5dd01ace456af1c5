#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace brain2music::encoding {

/// The law of a score under random orders of its blocks: the sum over places of worth[order[place], place], every order
/// as likely as any other. Its tail is known where no number of permutations would reach.
///
/// The moment generating function of this sum is the permanent of exp(t * worth) over n!. The matrix is scaled to rows
/// and columns that sum to 1 (Sinkhorn, 1964); the permanent of what that leaves is approximated by a determinant
/// (McCullagh, 2014, An asymptotic approximation for the permanent of a doubly stochastic matrix); and the tail follows
/// from the generating function by a saddlepoint (Lugannani and Rice, 1980).
class PermutationLaw {
 public:
  /// @param worth (n, n) row by row: what block `row` scores in place `column`.
  /// @param n     blocks, and places.
  PermutationLaw(std::vector<double> worth, int64_t n);

  /// The probability of a score of `score` or more. Where it is too small to be told, a bound that lies above it. NaN
  /// where nothing varies, or neither can be told.
  double upper_tail(double score) const;

 private:
  struct Scaled;

  PermutationLaw(std::vector<double> worth, std::vector<double> allowed, int64_t n);

  double tail(double score, int depth) const;
  double split(double score, int64_t row, int64_t column, double share, int depth) const;
  double bound(double tilt, double z, double base, Scaled& scaled) const;
  bool scale(double tilt, Scaled& out) const;
  bool log_permanent(double tilt, Scaled& out, double& value) const;

  int64_t n_;
  std::vector<double> worth_;    // (n, n) centred, of standard deviation 1
  std::vector<double> allowed_;  // (n, n): 1, or 0 where a block must not stand in a place
  double mean_ = 0;              // of the score, had all places been allowed
  double deviation_ = 0;
};

/// Upper tails of many voxels' own scores.
/// @param predicted (n, r, v) float64 on the CPU, contiguous.
/// @param observed  of the same shape.
/// @return (v,) float64: the probability that an order of the n blocks of `predicted` scores at least as well as their
///         own does; NaN where PermutationLaw cannot tell.
at::Tensor permutation_tail(const at::Tensor& predicted, const at::Tensor& observed);

}  // namespace brain2music::encoding
