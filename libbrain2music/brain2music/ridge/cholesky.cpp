#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addr.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <array>

#include "brain2music/ridge/factors.h"
#include "brain2music/ridge/rows.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {
namespace {

class CholeskyProblem final : public Problem {
 public:
  CholeskyProblem(const Design& design, const at::Tensor& gram) : design_(design) {
    for (int64_t slot = 0; slot <= design.folds.size(); ++slot) {
      grams_.push_back(fold_gram_of(gram, slot, design.intercept));
    }
    // What float32 rounds off products with targets is divided by the smallest penalised eigenvalue too.
    const at::Tensor& all = grams_.back().train;
    if (!design.single || !SinglePrecision(all.to(at::kFloat), design.alphas).suffices_for_all()) {
      design_.rows = design.rows.to(at::kDouble);
    }
  }

  at::Tensor products(const at::Tensor& y) const override {
    return fold_products(design_.rows, y.to(design_.rows.scalar_type()), design_.folds).to(at::kDouble);
  }

  HeldOutSums held_out(int64_t fold, const at::Tensor& products) const override {
    const FoldGram& gram = grams_[static_cast<std::size_t>(fold)];
    const at::Tensor right = centered_cross(gram, products[design_.folds.size()] - products[fold]);
    const at::Tensor held = held_cross(fold, products);
    // What solutions are multiplied by, in float64 and, once asked for, in float32.
    struct Factors {
      at::Tensor held_sum, held, squares;
    };
    const at::Tensor& rows = design_.folds.held_out[static_cast<std::size_t>(fold)];
    const bool by_rows = rows.numel() < right.size(0);  // fewer operations than by the held-out Gram matrix
    std::array<Factors, 2> factors;
    const auto factors_in = [&](at::ScalarType type) -> const Factors& {
      Factors& there = factors[type == at::kFloat ? 0 : 1];
      if (!there.held.defined()) {
        there = {gram.held_sum.to(type), held.to(type),
                 by_rows ? take_rows(design_.x(), rows).to(type) - gram.mean.to(type) : gram.held_out.to(type)};
      }
      return there;
    };
    const auto penalties = static_cast<int64_t>(design_.alphas.size());
    HeldOutSums sums;
    sums.predicted = at::empty({penalties, right.size(1)}, right.options());
    sums.product = at::empty_like(sums.predicted);
    sums.squares = at::empty_like(sums.predicted);
    each_solution(gram.train, right, design_.alphas, design_.single, [&](int64_t first, const at::Tensor& w) {
      const Factors& by = factors_in(w.scalar_type());
      const int64_t count = w.size(0);
      sums.predicted.narrow(0, first, count).copy_(at::matmul(by.held_sum, w));
      sums.product.narrow(0, first, count).copy_(at::sum(w * by.held, 1));
      at::Tensor image = at::matmul(by.squares, w);
      sums.squares.narrow(0, first, count).copy_(at::sum(by_rows ? image.square_() : image.mul_(w), 1));
    });
    return sums;
  }

  at::Tensor coefficients(int64_t slot, const at::Tensor& products, const at::Tensor& best) const override {
    const FoldGram& gram = grams_[static_cast<std::size_t>(slot)];
    at::Tensor cross = products[design_.folds.size()];
    if (slot < design_.folds.size()) {
      cross = cross - products[slot];
    }
    return solve_chosen(gram.train, centered_cross(gram, cross), design_.alphas, best, design_.single);
  }

  at::Tensor mean(int64_t slot) const override { return grams_[static_cast<std::size_t>(slot)].mean; }

 private:
  /// (p, t): products of held-out rows, both less their training means.
  at::Tensor held_cross(int64_t fold, const at::Tensor& products) const {
    const FoldGram& gram = grams_[static_cast<std::size_t>(fold)];
    at::Tensor held = centered_cross(gram, products[fold]);
    if (!design_.intercept) {
      return held;
    }
    const int64_t p = gram.mean.numel();
    const auto train_rows =
        static_cast<double>(design_.rows.size(0) - design_.folds.held_out[static_cast<std::size_t>(fold)].numel());
    const at::Tensor y_mean = (products[design_.folds.size()][p] - products[fold][p]) / train_rows;
    return held - at::outer(gram.held_sum, y_mean);
  }

  Design design_;
  std::vector<FoldGram> grams_;
};

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

std::unique_ptr<Problem> cholesky_problem(const Design& design, const at::Tensor& gram) {
  return std::make_unique<CholeskyProblem>(design, gram);
}

}  // namespace brain2music::ridge
