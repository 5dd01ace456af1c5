#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/any.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cholesky_solve.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/max.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "brain2music/check.h"
#include "brain2music/ridge/rows.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {
namespace {

// Up to this ratio of penalised eigenvalues a float32 factor leaves solutions exact to a few millionths.
constexpr double single_precision_condition = 200;

at::Tensor factor(const at::Tensor& gram, const at::Tensor& alphas, at::ScalarType type) {
  at::Tensor shifted = gram.unsqueeze(0).repeat({alphas.numel(), 1, 1});
  shifted.diagonal(0, 1, 2).add_(alphas.to(gram.device()).unsqueeze(1));
  const auto [lower, info] = at::linalg_cholesky_ex(shifted.to(type));
  if (has_values(info) && at::any(info != 0).item<bool>()) {
    const auto which = at::nonzero(info)[0][0].item<int64_t>();
    require(
        false, "ridge.cholesky",
        "X'X + alpha I must be positive definite in float64: alpha is too small for columns of X that nearly repeat "
        "one another; got alpha ",
        alphas[which].item<double>());
  }
  return lower;
}

struct Extremes {
  double largest;   // eigenvalue of the Gram matrix
  double smallest;  // and of the same with the penalty added
};

/// Estimated by power iteration, with room for where it has not converged.
Extremes extremes_of(const at::Tensor& gram, double penalty) {
  constexpr int64_t vectors = 4;
  constexpr int iterations = 8;
  const int64_t p = gram.size(0);
  const at::Tensor lower = factor(gram, at::full({1}, penalty, at::kDouble), at::kDouble)[0];
  at::Tensor v = at::sin(at::arange(1, p * vectors + 1, gram.options()).mul_(1.7)).view({p, vectors});
  at::Tensor w = v;
  for (int i = 0; i < iterations; ++i) {
    v = at::mm(gram, v / at::linalg_vector_norm(v, 2, at::IntArrayRef{0}, true).clamp_min(1e-300));
    w = at::cholesky_solve(w / at::linalg_vector_norm(w, 2, at::IntArrayRef{0}, true), lower);
  }
  const at::Tensor growth = at::linalg_vector_norm(v, 2, at::IntArrayRef{0});
  const at::Tensor shrinking = at::linalg_vector_norm(w, 2, at::IntArrayRef{0});
  return {1.2 * at::max(growth).item<double>(), 1 / (3 * at::max(shrinking).item<double>())};
}

class CholeskyProblem final : public Problem {
 public:
  CholeskyProblem(const Design& design, const at::Tensor& gram) : design_(design) {
    for (int64_t slot = 0; slot <= design.folds.size(); ++slot) {
      grams_.push_back(fold_gram_of(gram, slot, design.intercept));
    }
    for (int64_t fold = 0; fold < design.folds.size(); ++fold) {
      factors_.emplace_back(grams_[static_cast<std::size_t>(fold)].train, design.alphas, design.single);
    }
    design_.rows = design.rows.to(at::kDouble);  // few targets: products in float64 cost little, beside the factors
  }

  at::Tensor products(const at::Tensor& y) const override {
    return fold_products(design_.rows, y.to(at::kDouble), design_.folds);
  }

  HeldOutSums held_out(int64_t fold, const at::Tensor& products) const override {
    const FoldGram& gram = grams_[static_cast<std::size_t>(fold)];
    const at::Tensor right = at::mm(gram.shift, products[design_.folds.size()] - products[fold]);
    const at::Tensor held = held_cross(fold, products);
    const auto alphas = static_cast<int64_t>(design_.alphas.size());
    HeldOutSums sums;
    sums.predicted = at::empty({alphas, right.size(1)}, right.options());
    sums.product = at::empty_like(sums.predicted);
    sums.squares = at::empty_like(sums.predicted);
    factors_[static_cast<std::size_t>(fold)].solve(right, [&](int64_t first, const at::Tensor& w) {
      const at::ScalarType type = w.scalar_type();
      const int64_t count = w.size(0);
      sums.predicted.narrow(0, first, count).copy_(at::matmul(gram.held_sum.to(type), w));
      sums.product.narrow(0, first, count).copy_(at::sum(w * held.to(type), 1));
      const at::Tensor& rows = design_.folds.held_out[static_cast<std::size_t>(fold)];
      if (2 * rows.numel() < w.size(1)) {  // fewer operations by the held-out rows themselves
        const at::Tensor x = take_rows(design_.x(), rows).to(type) - gram.mean.to(type);
        sums.squares.narrow(0, first, count).copy_(at::sum(at::matmul(x, w).square_(), 1));
      } else {
        sums.squares.narrow(0, first, count).copy_(at::sum(at::matmul(gram.held_out.to(type), w).mul_(w), 1));
      }
    });
    return sums;
  }

  at::Tensor coefficients(int64_t slot, const at::Tensor& products, const at::Tensor& best) const override {
    const FoldGram& gram = grams_[static_cast<std::size_t>(slot)];
    at::Tensor cross = products[design_.folds.size()];
    if (slot < design_.folds.size()) {
      cross = cross - products[slot];
    }
    return solve_chosen(gram.train, at::mm(gram.shift, cross), design_.alphas, best);
  }

  at::Tensor mean(int64_t slot) const override { return grams_[static_cast<std::size_t>(slot)].mean; }

 private:
  /// (p, t): products of held-out rows, both less their training means.
  at::Tensor held_cross(int64_t fold, const at::Tensor& products) const {
    const FoldGram& gram = grams_[static_cast<std::size_t>(fold)];
    at::Tensor held = at::mm(gram.shift, products[fold]);
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
  std::vector<Factors> factors_;
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
  result.shift = at::cat({at::eye(p, gram.options()), -result.mean.unsqueeze(1)}, 1);
  result.train = train.narrow(0, 0, p).narrow(1, 0, p) - at::outer(sum, result.mean);
  if (slot < folds) {
    // shift * gram * shift', by rank-one changes
    const at::Tensor held_sum = gram[slot].narrow(0, 0, p).select(1, p);
    result.held_sum = held_sum - result.mean * gram[slot][p][p];
    result.held_out = gram[slot].narrow(0, 0, p).narrow(1, 0, p) - at::outer(held_sum, result.mean);
    result.held_out.addr_(result.mean, result.held_sum, 1, -1);
  }
  return result;
}

Factors::Factors(const at::Tensor& gram, const std::vector<double>& alphas, bool single) {
  const auto count = static_cast<int64_t>(alphas.size());
  const at::Tensor all = at::tensor(alphas, at::kDouble);
  const double least = *std::ranges::min_element(alphas);
  single = single && has_values(gram);
  const Extremes extremes = single ? extremes_of(gram, least) : Extremes{0, 1};
  const auto in_single = [&](int64_t i) {
    const double alpha = alphas[static_cast<std::size_t>(i)];
    return single && extremes.largest + alpha <= single_precision_condition * (extremes.smallest + alpha - least);
  };
  for (int64_t first = 0; first < count;) {
    int64_t last = first + 1;
    while (last < count && in_single(last) == in_single(first)) {
      ++last;
    }
    parts_.push_back(
        {first, factor(gram, all.narrow(0, first, last - first), in_single(first) ? at::kFloat : at::kDouble)});
    first = last;
  }
}

at::Tensor Factors::Part::solve(const at::Tensor& right) const {
  const at::Tensor columns =
      right.to(factor.scalar_type()).unsqueeze(0).expand({factor.size(0), right.size(0), right.size(1)});
  return at::cholesky_solve(columns, factor);
}

at::Tensor solve_chosen(const at::Tensor& gram, const at::Tensor& cross, const std::vector<double>& alphas,
                        const at::Tensor& best) {
  at::Tensor result = at::empty_like(cross);
  for (std::size_t i = 0; i < alphas.size(); ++i) {
    const at::Tensor targets = at::nonzero(best == static_cast<int64_t>(i)).squeeze(1);
    if (targets.numel() == 0) {
      continue;
    }
    const at::Tensor lower = factor(gram, at::full({1}, alphas[i], at::kDouble), at::kDouble)[0];
    result.index_copy_(1, targets, at::cholesky_solve(cross.index_select(1, targets), lower));
  }
  return result;
}

std::unique_ptr<Problem> cholesky_problem(const Design& design, const at::Tensor& gram) {
  return std::make_unique<CholeskyProblem>(design, gram);
}

}  // namespace brain2music::ridge
