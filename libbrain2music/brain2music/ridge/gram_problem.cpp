#include "brain2music/ridge/gram_problem.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addr.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/zeros.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "brain2music/ridge/training_rows.h"

namespace brain2music::ridge {

namespace {

// Of a matrix, worth a thread of their own.
constexpr int64_t rows_at_once = 64;

/// (p, p): sums of products of [X, 1] (p + 1, p + 1), less `others` where defined, with X about `mean` instead:
/// sums_ij - s_i m_j - m_i (s_j - n m_j), where s are the sums of X over n rows.
at::Tensor about(const at::Tensor& sums, const at::Tensor& others, const at::Tensor& mean) {
  const int64_t p = mean.numel();
  const at::Tensor row = others.defined() ? sums[p] - others[p] : sums[p];
  const at::Tensor sum = row.narrow(0, 0, p);
  const at::Tensor rest = sum - mean * row[p];
  if (!sums.is_cpu() || !has_values(sums)) {
    const at::Tensor all = others.defined() ? sums - others : sums;
    return (all.narrow(0, 0, p).narrow(1, 0, p) - at::outer(sum, mean)).addr_(mean, rest, 1, -1);
  }
  // In one pass: these matrices are read more often than they are worked with.
  at::Tensor result = at::empty({p, p}, sums.options());
  const auto* s = sum.const_data_ptr<double>();
  const auto* m = mean.const_data_ptr<double>();
  const auto* r = rest.const_data_ptr<double>();
  at::parallel_for(0, p, rows_at_once, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double* from = sums.const_data_ptr<double>() + i * sums.stride(0);
      const double* less = others.defined() ? others.const_data_ptr<double>() + i * others.stride(0) : nullptr;
      double* to = result.mutable_data_ptr<double>() + i * p;
      for (int64_t j = 0; j < p; ++j) {
        to[j] = (less == nullptr ? from[j] : from[j] - less[j]) - s[i] * m[j] - m[i] * r[j];
      }
    }
  });
  return result;
}

}  // namespace

FoldGrams::FoldGrams(at::Tensor gram, Folds folds, bool intercept)
    : gram_(std::move(gram)), folds_(std::move(folds)), intercept_(intercept) {
  const int64_t p = gram_.size(1) - 1;
  const at::Tensor sums = gram_.select(1, p);
  for (int64_t slot = 0; slot <= folds_.size(); ++slot) {
    const at::Tensor row = training_sums(sums, folds_, slot);
    means_.push_back(intercept ? row.narrow(0, 0, p) / row[p] : at::zeros({p}, row.options()));
  }
}

at::Tensor FoldGrams::train(int64_t slot) const {
  const int64_t all = folds_.size();
  if (slot < all && folds_.has_gap(slot)) {
    return about(gram_[training_slot(folds_, slot)], {}, mean(slot));
  }
  return about(gram_[all], slot < all ? gram_[slot] : at::Tensor(), mean(slot));
}

at::Tensor FoldGrams::held_out(int64_t fold) const { return about(gram_[fold], {}, mean(fold)); }

at::Tensor FoldGrams::held_sum(int64_t fold) const {
  const int64_t p = gram_.size(1) - 1;
  const at::Tensor row = gram_[fold][p];
  return row.narrow(0, 0, p) - mean(fold) * row[p];
}

FoldGrams FoldGrams::of_all_rows() const {
  return {gram_.narrow(0, folds_.size(), 1), Folds{folds_.rows, {}}, intercept_};
}

at::Tensor centered_cross(const at::Tensor& mean, const at::Tensor& cross) {
  const int64_t p = mean.numel();
  return at::addr(cross.narrow(0, 0, p), mean, cross[p], 1, -1);
}

GramProblem::GramProblem(const Design& design, std::shared_ptr<const FoldGrams> grams)
    : design_(design),
      grams_(std::move(grams)),
      all_rows_(train_gram(design.fold_count()), design.alphas, design.single, /*keep=*/design.tiled) {}

at::Tensor GramProblem::training_cross(int64_t slot, const Tile& tile) const {
  const int64_t all = design_.fold_count();
  const at::Tensor sums =
      slot == all ? tile.products(type_) : training_sums(tile.fold_products(type_), design_.folds, slot);
  return design_.scaled(centered_cross(grams_->mean(slot), sums.to(at::kDouble)));
}

at::Tensor GramProblem::coefficients(int64_t slot, const Tile& tile, const at::Tensor& best) const {
  if (slot == design_.fold_count() && type_ == at::kFloat && !design_.scales.defined() && best.is_cpu() &&
      has_values(best)) {
    return all_rows_.solve(tile.packed_products(), design_.intercept ? grams_->mean(slot).to(at::kFloat) : at::Tensor(),
                           best);
  }
  const at::Tensor cross = training_cross(slot, tile);
  return design_.scaled(
      slot == design_.fold_count()
          ? all_rows_.solve(cross, best)
          : ChosenSolver(train_gram(slot), design_.alphas, design_.single, /*keep=*/false).solve(cross, best));
}

at::Tensor GramProblem::predictions(int64_t fold, const Tile& tile, const at::Tensor& best) const {
  const at::Tensor& mean = grams_->mean(fold);
  const at::Tensor rows = take_rows(design_.x, design_.held_out(fold)).to(at::kDouble) - design_.offset - mean;
  return at::mm(rows, coefficients(fold, tile, best).to(at::kDouble));
}

at::Tensor GramProblem::shift(const at::Tensor& coefficients) const {
  return at::mv(coefficients.t().to(at::kDouble), grams_->mean(design_.fold_count()) + design_.offset).neg_();
}

}  // namespace brain2music::ridge
