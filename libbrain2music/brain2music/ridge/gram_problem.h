#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "brain2music/ridge/factors.h"
#include "brain2music/ridge/solvers.h"

/// What the solvers by Gram matrices, cholesky and eigenbasis, have in common.
namespace brain2music::ridge {

/// One fold's Gram matrices, about the means of its training rows; or of all rows.
struct FoldGram {
  at::Tensor mean;      // (p,) float64
  at::Tensor train;     // (p, p)
  at::Tensor held_out;  // (p, p)
  at::Tensor held_sum;  // (p,): sum of centred held-out rows
};

/// Of one fold, or of all rows where `slot` is the number of folds; `gram` as in FoldStatistics.
FoldGram fold_gram_of(const at::Tensor& gram, int64_t slot, bool intercept);

/// (p, t): products of targets with rows of [X, 1], `cross` (p + 1, t), with X about its training mean.
at::Tensor centered_cross(const FoldGram& gram, const at::Tensor& cross);

/// Here `products` are (folds + 1, p + 1, t): of [X, 1] and targets over the rows each fold holds out; last: all rows.
class GramProblem : public Problem {
 public:
  at::Tensor coefficients(int64_t slot, const at::Tensor& products, const at::Tensor& best) const final;
  at::Tensor mean(int64_t slot) const final { return gram(slot).mean; }

 protected:
  GramProblem(const Design& design, const at::Tensor& gram);

  const Design& design() const { return design_; }
  FoldGram& gram(int64_t slot) { return grams_[static_cast<std::size_t>(slot)]; }
  const FoldGram& gram(int64_t slot) const { return grams_[static_cast<std::size_t>(slot)]; }

  /// (p + 1, t): of the rows that fold `slot` trains on, or of all rows where `slot` is the number of folds.
  at::Tensor training_products(const at::Tensor& products, int64_t slot) const;

  /// (t,): mean of the targets over the rows that a fold trains on.
  at::Tensor training_mean(const at::Tensor& products, int64_t fold) const;

 private:
  Design design_;
  std::vector<FoldGram> grams_;
  ChosenSolver all_rows_;
};

}  // namespace brain2music::ridge
