#include "brain2music/ridge/scoring.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/logical_or.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cstdint>

namespace brain2music::ridge {
namespace {

// A target that varies by less than this share of its square sum is constant but for rounding.
constexpr double constant_share = 1e-12;

/// Adds one fold's scores.
void add_scores(const HeldOutSums& sums, const Design& design, const Tile& tile, int64_t fold, Scoring scoring,
                const Scores& scores) {
  const double held = design.held_weight(fold);
  const at::Tensor sum = tile.moments().sums[fold];
  const at::Tensor square_sum = tile.moments().squares[fold];
  const at::Tensor variation = square_sum - sum.square() / held;
  const at::Tensor constant = variation <= square_sum * constant_share;
  const at::Tensor mean = design.intercept ? tile.training_mean(fold) : at::zeros_like(sum);
  const at::Tensor centered_sum = sum - held * mean;  // of targets less their training mean
  const at::Tensor covariance = sums.product - sums.predicted * centered_sum / held;
  const at::Tensor spread = sums.squares - sums.predicted.square() / held;
  const at::Tensor flat = at::logical_or(spread <= sums.squares * constant_share, constant);
  const at::Tensor r = at::where(flat, at::zeros({}, spread.options()), covariance / at::sqrt(spread * variation));
  scores.correlation.add_(r);
  if (scoring == Scoring::r2) {
    const at::Tensor squares = variation + centered_sum.square() / held;
    const at::Tensor error = squares - 2 * sums.product + sums.squares;
    scores.chosen_by.add_(at::where(constant, at::zeros({}, error.options()), 1 - error / variation));
  } else {
    scores.chosen_by.add_(r);
  }
}

}  // namespace

Scores score(const Problem& problem, const Design& design, const Tile& tile, Scoring scoring) {
  Scores scores;
  for (int64_t fold = 0; fold < design.fold_count(); ++fold) {
    const HeldOutSums sums = problem.held_out(fold, tile);
    if (!scores.chosen_by.defined()) {
      scores = {at::zeros_like(sums.product), at::zeros_like(sums.product)};
    }
    add_scores(sums, design, tile, fold, scoring, scores);
  }
  scores.chosen_by.div_(design.fold_count());
  scores.correlation.div_(design.fold_count());
  return scores;
}

}  // namespace brain2music::ridge
