#include "brain2music/ridge/gram_problem.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addr.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/zeros_like.h>

#include <cstdint>
#include <vector>

namespace brain2music::ridge {
namespace {

std::vector<FoldGram> fold_grams(const at::Tensor& gram, const Design& design) {
  std::vector<FoldGram> grams;
  for (int64_t slot = 0; slot <= design.folds.size(); ++slot) {
    grams.push_back(fold_gram_of(gram, slot, design.intercept));
  }
  return grams;
}

}  // namespace

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

GramProblem::GramProblem(const Design& design, const at::Tensor& gram)
    : design_(design),
      grams_(fold_grams(gram, design)),
      all_rows_(grams_.back().train, design.alphas, design.single, /*keep=*/design.tiled) {}

at::Tensor GramProblem::coefficients(int64_t slot, const at::Tensor& products, const at::Tensor& best) const {
  const at::Tensor cross = centered_cross(gram(slot), training_products(products, slot).to(at::kDouble));
  return slot == design_.folds.size()
             ? all_rows_.solve(cross, best)
             : ChosenSolver(gram(slot).train, design_.alphas, design_.single, /*keep=*/false).solve(cross, best);
}

at::Tensor GramProblem::training_products(const at::Tensor& products, int64_t slot) const {
  const int64_t all = design_.folds.size();
  return slot < all ? products[all] - products[slot] : products[all];
}

at::Tensor GramProblem::training_mean(const at::Tensor& products, int64_t fold) const {
  const at::Tensor sums = products.select(1, products.size(1) - 1);
  const int64_t rows = design_.rows.size(0) - design_.folds.held_out[static_cast<std::size_t>(fold)].numel();
  return (sums[design_.folds.size()] - sums[fold]) / static_cast<double>(rows);
}

}  // namespace brain2music::ridge
