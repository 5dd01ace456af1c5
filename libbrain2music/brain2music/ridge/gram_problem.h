#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "brain2music/ridge/factors.h"
#include "brain2music/ridge/problem.h"

/// What the solvers by Gram matrices, cholesky and eigenbasis, have in common.
namespace brain2music::ridge {

/// Gram matrices of all folds, about the means of their training rows, and of all rows. Each is made when asked for:
/// one pass over sums, which are less than what they make. All float64.
class FoldGrams {
 public:
  /// `gram` holds [X, 1]'[X, 1] of each slot (see training_rows.h): (slots, p + 1, p + 1) float64.
  FoldGrams(at::Tensor gram, Folds folds, bool intercept);

  /// (p,): of the rows that are trained on.
  const at::Tensor& mean(int64_t slot) const { return means_[static_cast<std::size_t>(slot)]; }

  at::Tensor train(int64_t slot) const;     // (p, p)
  at::Tensor held_out(int64_t fold) const;  // (p, p)
  at::Tensor held_sum(int64_t fold) const;  // (p,): sum of centred held-out rows

  /// Takes all rows alone, without folds.
  FoldGrams of_all_rows() const;

 private:
  at::Tensor gram_;
  Folds folds_;
  bool intercept_;
  std::vector<at::Tensor> means_;
};

/// (p, t): products of targets with rows of [X, 1], `cross` (p + 1, t), with X about `mean`.
at::Tensor centered_cross(const at::Tensor& mean, const at::Tensor& cross);

/// A design and its Gram matrices, times the scales of its columns.
class GramProblem : public Problem {
 public:
  at::Tensor coefficients(int64_t slot, const Tile& tile, const at::Tensor& best) const final;
  at::Tensor predictions(int64_t fold, const Tile& tile, const at::Tensor& best) const final;
  at::Tensor shift(const at::Tensor& coefficients) const final;

 protected:
  GramProblem(const Design& design, std::shared_ptr<const FoldGrams> grams);

  const Design& design() const { return design_; }

  /// As in FoldGrams, scaled but for the mean.
  const at::Tensor& mean(int64_t slot) const { return grams_->mean(slot); }
  at::Tensor train_gram(int64_t slot) const { return both_scaled(grams_->train(slot)); }
  at::Tensor held_gram(int64_t fold) const { return both_scaled(grams_->held_out(fold)); }
  at::Tensor held_sum(int64_t fold) const { return design_.scaled(grams_->held_sum(fold)); }

  /// (p, t) float64: products of targets with scaled rows, X about its training mean: of the rows that fold `slot`
  /// trains on, or of all rows.
  at::Tensor training_cross(int64_t slot, const Tile& tile) const;

  /// Of the Gram matrix of all rows.
  const SinglePrecision& precision() const { return all_rows_.precision(); }

  /// What products with targets are taken in.
  at::ScalarType type() const { return type_; }
  void work_in(at::ScalarType type) { type_ = type; }

 private:
  at::Tensor both_scaled(const at::Tensor& gram) const {
    return design_.scales.defined() ? design_.scaled(gram).mul_(design_.scales) : gram;
  }

  Design design_;
  at::ScalarType type_ = at::kDouble;
  std::shared_ptr<const FoldGrams> grams_;
  ChosenSolver all_rows_;
};

}  // namespace brain2music::ridge
