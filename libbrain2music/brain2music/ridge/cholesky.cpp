#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addr.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/sum.h>

#include <array>
#include <memory>

#include "brain2music/ridge/factors.h"
#include "brain2music/ridge/gram_problem.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {
namespace {

class CholeskyProblem final : public GramProblem {
 public:
  CholeskyProblem(const Design& design, const std::shared_ptr<const FoldGrams>& grams) : GramProblem(design, grams) {
    // What float32 rounds off products with targets is divided by the smallest penalised eigenvalue too.
    if (design.single &&
        SinglePrecision(gram(design.fold_count()).train.to(at::kFloat), design.alphas).suffices_for_all()) {
      work_in(at::kFloat);
    }
  }

  HeldOutSums held_out(int64_t fold, const Tile& tile) const override {
    const FoldGram gram = this->gram(fold);
    const at::Tensor right = training_cross(fold, tile);
    const at::Tensor held = held_cross(fold, gram, tile);
    // What solutions are multiplied by, in float64 and, once asked for, in float32.
    struct Factors {
      at::Tensor held_sum, held, squares;
    };
    const bool by_rows = design().by_rows(fold);
    std::array<Factors, 2> factors;
    const auto factors_in = [&](at::ScalarType type) -> const Factors& {
      Factors& there = factors[type == at::kFloat ? 0 : 1];
      if (!there.held.defined()) {
        there = {gram.held_sum.to(type), held.to(type),
                 by_rows ? design().held_rows(fold, gram.mean).to(type) : gram.held_out.to(type)};
      }
      return there;
    };
    const auto penalties = static_cast<int64_t>(design().alphas.size());
    HeldOutSums sums;
    sums.predicted = at::empty({penalties, right.size(1)}, right.options());
    sums.product = at::empty_like(sums.predicted);
    sums.squares = at::empty_like(sums.predicted);
    each_solution(gram.train, right, design().alphas, design().single, [&](int64_t first, const at::Tensor& w) {
      if (design().between) {
        design().between();
      }
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
  at::Tensor held_cross(int64_t fold, const FoldGram& gram, const Tile& tile) const {
    const at::Tensor held = design().scaled(centered_cross(gram, tile.fold_products(type())[fold].to(at::kDouble)));
    return design().intercept ? held - at::outer(gram.held_sum, tile.training_mean(fold)) : held;
  }
};

}  // namespace

std::unique_ptr<Problem> cholesky_problem(const Design& design, const std::shared_ptr<const FoldGrams>& grams) {
  return std::make_unique<CholeskyProblem>(design, grams);
}

}  // namespace brain2music::ridge
