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
#include "brain2music/ridge/penalty_path.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {
namespace {

class CholeskyProblem final : public GramProblem {
 public:
  CholeskyProblem(const Design& design, const std::shared_ptr<const FoldGrams>& grams) : GramProblem(design, grams) {
    // What float32 rounds off products with targets is divided by the smallest penalised eigenvalue too.
    if (design.single && precision().suffices_for_all() && single_suffices_in_gaps()) {
      work_in(at::kFloat);
    }
  }

  HeldOutSums held_out(int64_t fold, const Tile& tile) const override {
    FoldSystem system;
    system.train = train_gram(fold);
    system.right = training_cross(fold, tile);
    system.sum = held_sum(fold);
    system.cross = held_cross(fold, system.sum, tile);
    // A Gram matrix is symmetric, so that the packed solver takes half of the products with it.
    const bool on_cpu = system.train.is_cpu() && has_values(system.train);
    system.by_rows = design().by_rows(fold, /*half=*/on_cpu);
    system.squares = system.by_rows ? design().held_rows(fold, mean(fold)) : held_gram(fold);
    HeldOutSums sums;
    sums.predicted =
        at::empty({static_cast<int64_t>(design().alphas.size()), system.right.size(1)}, system.right.options());
    sums.product = at::empty_like(sums.predicted);
    sums.squares = at::empty_like(sums.predicted);
    if (on_cpu) {
      packed_sums(system, design().alphas, design().single ? precision().largest() : 0, design().between, sums);
    } else {
      batched_sums(system, sums);
    }
    return sums;
  }

 private:
  /// Says whether float32 does for the folds with a gap, too: few rows may have far smaller eigenvalues than all.
  bool single_suffices_in_gaps() const {
    for (int64_t fold = 0; fold < design().fold_count(); ++fold) {
      if (design().folds.has_gap(fold) && has_values(design().offset) &&
          !SinglePrecision(train_gram(fold).to(at::kFloat), design().alphas).suffices_for_all()) {
        return false;
      }
    }
    return true;
  }

  /// (p, t): products of held-out rows, both less their training means.
  at::Tensor held_cross(int64_t fold, const at::Tensor& held_sum, const Tile& tile) const {
    const at::Tensor held =
        design().scaled(centered_cross(mean(fold), tile.fold_products(type())[fold].to(at::kDouble)));
    return design().intercept ? held - at::outer(held_sum, tile.training_mean(fold)) : held;
  }

  /// By LibTorch, as many penalties at once as keep a GPU busy.
  void batched_sums(const FoldSystem& system, const HeldOutSums& sums) const {
    // What solutions are multiplied by, in float64 and, once asked for, in float32.
    struct Factors {
      at::Tensor sum, cross, squares;
    };
    std::array<Factors, 2> factors;
    const auto factors_in = [&](at::ScalarType type) -> const Factors& {
      Factors& there = factors[type == at::kFloat ? 0 : 1];
      if (!there.cross.defined()) {
        there = {system.sum.to(type), system.cross.to(type), system.squares.to(type)};
      }
      return there;
    };
    each_solution(
        system.train, system.right, design().alphas, design().single, [&](int64_t first, const at::Tensor& w) {
          if (design().between) {
            design().between();
          }
          const Factors& by = factors_in(w.scalar_type());
          const int64_t count = w.size(0);
          sums.predicted.narrow(0, first, count).copy_(at::matmul(by.sum, w));
          sums.product.narrow(0, first, count).copy_(at::sum(w * by.cross, 1));
          at::Tensor image = at::matmul(by.squares, w);
          sums.squares.narrow(0, first, count).copy_(at::sum(system.by_rows ? image.square_() : image.mul_(w), 1));
        });
  }
};

}  // namespace

std::unique_ptr<Problem> cholesky_problem(const Design& design, const std::shared_ptr<const FoldGrams>& grams) {
  return std::make_unique<CholeskyProblem>(design, grams);
}

}  // namespace brain2music::ridge
