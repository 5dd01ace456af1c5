#include "brain2music/ridge/gram_problem.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addr.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/zeros_like.h>

#include <cstdint>
#include <memory>
#include <utility>

namespace brain2music::ridge {

FoldGram fold_gram_of(const at::Tensor& gram, int64_t slot, bool intercept) {
  const int64_t p = gram.size(1) - 1;
  const int64_t folds = gram.size(0) - 1;
  const at::Tensor all = gram[folds];
  const at::Tensor train = slot < folds ? all - gram[slot] : all;
  FoldGram result;
  const at::Tensor sum = train.narrow(0, 0, p).select(1, p);
  result.mean = intercept ? sum / train[p][p] : at::zeros_like(sum);
  result.train = train.narrow(0, 0, p).narrow(1, 0, p) - at::outer(sum, result.mean);
  if (slot < folds) {
    // about the training mean, by rank-one changes
    const at::Tensor held_sum = gram[slot].narrow(0, 0, p).select(1, p);
    result.held_sum = held_sum - result.mean * gram[slot][p][p];
    result.held_out = gram[slot].narrow(0, 0, p).narrow(1, 0, p) - at::outer(held_sum, result.mean);
    result.held_out.addr_(result.mean, result.held_sum, 1, -1);
  }
  return result;
}

at::Tensor centered_cross(const FoldGram& gram, const at::Tensor& cross) {
  const int64_t p = gram.mean.numel();
  return at::addr(cross.narrow(0, 0, p), gram.mean, cross[p], 1, -1);
}

std::shared_ptr<const FoldGrams> fold_grams_of(const at::Tensor& gram, bool intercept) {
  auto grams = std::make_shared<FoldGrams>();
  for (int64_t slot = 0; slot < gram.size(0); ++slot) {
    grams->push_back(fold_gram_of(gram, slot, intercept));
  }
  return grams;
}

GramProblem::GramProblem(const Design& design, std::shared_ptr<const FoldGrams> grams)
    : design_(design),
      grams_(std::move(grams)),
      all_rows_(gram(design.fold_count()).train, design.alphas, design.single, /*keep=*/design.tiled) {}

FoldGram GramProblem::gram(int64_t slot) const {
  const FoldGram& given = (*grams_)[static_cast<std::size_t>(slot)];
  if (!design_.scales.defined()) {
    return given;
  }
  const auto both = [&](const at::Tensor& x) { return x.defined() ? design_.scaled(x).mul_(design_.scales) : x; };
  return {given.mean, both(given.train), both(given.held_out),
          given.held_sum.defined() ? design_.scaled(given.held_sum) : given.held_sum};
}

at::Tensor GramProblem::training_cross(int64_t slot, const Tile& tile) const {
  const int64_t all = design_.fold_count();
  const FoldGram& given = (*grams_)[static_cast<std::size_t>(slot)];
  const at::Tensor sums =
      slot == all ? tile.products(type_) : tile.fold_products(type_)[all] - tile.fold_products(type_)[slot];
  return design_.scaled(centered_cross(given, sums.to(at::kDouble)));
}

at::Tensor GramProblem::coefficients(int64_t slot, const Tile& tile, const at::Tensor& best) const {
  const at::Tensor cross = training_cross(slot, tile);
  return design_.scaled(
      slot == design_.fold_count()
          ? all_rows_.solve(cross, best)
          : ChosenSolver(gram(slot).train, design_.alphas, design_.single, /*keep=*/false).solve(cross, best));
}

at::Tensor GramProblem::predictions(int64_t fold, const Tile& tile, const at::Tensor& best) const {
  const at::Tensor& mean = (*grams_)[static_cast<std::size_t>(fold)].mean;
  const at::Tensor rows = take_rows(design_.x, design_.held_out(fold)).to(at::kDouble) - design_.offset - mean;
  return at::mm(rows, coefficients(fold, tile, best));
}

at::Tensor GramProblem::shift(const at::Tensor& coefficients) const {
  return at::mv(coefficients.t(), grams_->back().mean + design_.offset).neg_();
}

}  // namespace brain2music::ridge
