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
#include "brain2music/ridge/gram_problem.h"
#include "brain2music/ridge/rows.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {
namespace {

class CholeskyProblem final : public GramProblem {
 public:
  CholeskyProblem(const Design& design, const at::Tensor& gram) : GramProblem(design, gram), rows_(design.rows) {
    // What float32 rounds off products with targets is divided by the smallest penalised eigenvalue too.
    const at::Tensor& all = this->gram(design.folds.size()).train;
    if (!design.single || !SinglePrecision(all.to(at::kFloat), design.alphas).suffices_for_all()) {
      rows_ = design.rows.to(at::kDouble);
    }
  }

  at::Tensor products(const at::Tensor& y) const override {
    return fold_products(rows_, y.to(rows_.scalar_type()), design().folds).to(at::kDouble);
  }

  HeldOutSums held_out(int64_t fold, const at::Tensor& products) const override {
    const FoldGram& gram = this->gram(fold);
    const at::Tensor right = centered_cross(gram, training_products(products, fold));
    const at::Tensor held = held_cross(fold, products);
    // What solutions are multiplied by, in float64 and, once asked for, in float32.
    struct Factors {
      at::Tensor held_sum, held, squares;
    };
    const at::Tensor& rows = design().folds.held_out[static_cast<std::size_t>(fold)];
    const bool by_rows = rows.numel() < right.size(0);  // fewer operations than by the held-out Gram matrix
    std::array<Factors, 2> factors;
    const auto factors_in = [&](at::ScalarType type) -> const Factors& {
      Factors& there = factors[type == at::kFloat ? 0 : 1];
      if (!there.held.defined()) {
        there = {gram.held_sum.to(type), held.to(type),
                 by_rows ? take_rows(design().x(), rows).to(type) - gram.mean.to(type) : gram.held_out.to(type)};
      }
      return there;
    };
    const auto penalties = static_cast<int64_t>(design().alphas.size());
    HeldOutSums sums;
    sums.predicted = at::empty({penalties, right.size(1)}, right.options());
    sums.product = at::empty_like(sums.predicted);
    sums.squares = at::empty_like(sums.predicted);
    each_solution(gram.train, right, design().alphas, design().single, [&](int64_t first, const at::Tensor& w) {
      const Factors& by = factors_in(w.scalar_type());
      const int64_t count = w.size(0);
      sums.predicted.narrow(0, first, count).copy_(at::matmul(by.held_sum, w));
      sums.product.narrow(0, first, count).copy_(at::sum(w * by.held, 1));
      at::Tensor image = at::matmul(by.squares, w);
      sums.squares.narrow(0, first, count).copy_(at::sum(by_rows ? image.square_() : image.mul_(w), 1));
    });
    return sums;
  }

 private:
  /// (p, t): products of held-out rows, both less their training means.
  at::Tensor held_cross(int64_t fold, const at::Tensor& products) const {
    const FoldGram& gram = this->gram(fold);
    const at::Tensor held = centered_cross(gram, products[fold]);
    return design().intercept ? held - at::outer(gram.held_sum, training_mean(products, fold)) : held;
  }

  at::Tensor rows_;  // of the design, in the precision that products with targets need
};

}  // namespace

std::unique_ptr<Problem> cholesky_problem(const Design& design, const at::Tensor& gram) {
  return std::make_unique<CholeskyProblem>(design, gram);
}

}  // namespace brain2music::ridge
