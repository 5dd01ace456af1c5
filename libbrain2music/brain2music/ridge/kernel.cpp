#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addr.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "brain2music/ridge/factors.h"
#include "brain2music/ridge/rows.h"
#include "brain2music/ridge/solvers.h"
#include "brain2music/ridge/training_rows.h"

namespace brain2music::ridge {
namespace {

constexpr int64_t columns_at_once = 1024;

/// (rows, count) float64: neighbouring columns of X about offset and `mean`.
at::Tensor columns(const Design& design, int64_t first, int64_t count, const at::Tensor& rows, const at::Tensor& mean) {
  return take_rows(design.x.narrow(1, first, count), rows).to(at::kDouble) -
         (design.offset.narrow(0, first, count) + mean.narrow(0, first, count));
}

/// The dual form: coefficients are X' times (X X' + alpha I)^-1 Y, all about training means, rows times the roots s of
/// their weights. A centred row of the training set is (x_i - m) s_i with m the weighted mean.
class KernelProblem final : public Problem {
 public:
  KernelProblem(const Design& design, const at::Tensor& kernel)
      : design_(design), given_(!design.x.defined()), kernel_(kernel.defined() ? kernel : inner_products(design)) {
    const int64_t n = kernel_.size(0);
    roots_ = design.roots.defined() ? design.roots : at::ones({n}, kernel_.options());
    for (int64_t slot = 0; slot <= design.fold_count(); ++slot) {
      trained_on_.push_back(training_rows(design.folds, slot));
      training_.push_back(block(slot, trained_on(slot), /*weighted=*/true));
    }
    int64_t held_rows = 0;
    for (const at::Tensor& held_out : design.folds.held_out) {
      held_rows = std::max(held_rows, held_out.numel());
    }
    for (int64_t fold = 0; fold < design.fold_count() && design.targets > held_rows; ++fold) {
      predictors_.push_back(predictors(fold));
    }
  }

  HeldOutSums held_out(int64_t fold, const Tile& tile) const override {
    const at::Tensor& rows = design_.held_out(fold);
    const at::Tensor held = centered_targets(fold, rows, tile);
    const at::Tensor train = centered_targets(fold, trained_on(fold), tile);
    const at::Tensor roots = take_rows(roots_, rows);
    const auto alphas = static_cast<int64_t>(design_.alphas.size());
    HeldOutSums sums;
    sums.predicted = at::empty({alphas, tile.targets()}, kernel_.options());
    sums.product = at::empty_like(sums.predicted);
    sums.squares = at::empty_like(sums.predicted);
    const auto add = [&](int64_t first, const at::Tensor& predicted) {
      const at::ScalarType type = predicted.scalar_type();
      const int64_t count = predicted.size(0);
      sums.predicted.narrow(0, first, count).copy_(at::matmul(roots.to(type), predicted));
      sums.product.narrow(0, first, count).copy_(at::sum(predicted * held.to(type), 1));
      sums.squares.narrow(0, first, count).copy_(at::sum(predicted.square_(), 1));
    };
    if (!predictors_.empty()) {
      const std::vector<at::Tensor>& of_fold = predictors_[static_cast<std::size_t>(fold)];
      for (int64_t alpha = 0; alpha < alphas; ++alpha) {
        const at::Tensor& predictor = of_fold[static_cast<std::size_t>(alpha)];
        add(alpha, at::mm(predictor, train.to(predictor.scalar_type())).unsqueeze(0));
      }
      return sums;
    }
    const at::Tensor across = block(fold, rows, /*weighted=*/true);
    each_solution(
        training(fold), train.to(at::kDouble), design_.alphas, design_.single,
        [&](int64_t first, const at::Tensor& dual) { add(first, at::matmul(across.to(dual.scalar_type()), dual)); });
    return sums;
  }

  at::Tensor coefficients(int64_t slot, const Tile& tile, const at::Tensor& best) const override {
    const at::Tensor& rows = trained_on(slot);
    at::Tensor weights = dual(slot, tile, best) * take_rows(roots_, rows).unsqueeze(1);
    if (given_) {
      return weights;
    }
    at::Tensor result = at::empty({design_.features, tile.targets()}, weights.options());
    const at::Tensor mean = this->mean(slot);
    for (int64_t first = 0; first < design_.features; first += columns_at_once) {
      const int64_t count = std::min(columns_at_once, design_.features - first);
      result.narrow(0, first, count).copy_(at::mm(columns(design_, first, count, rows, mean).t(), weights));
    }
    return design_.scaled(design_.scaled(result));  // once for X', once for what the sum is multiplied by
  }

  at::Tensor predictions(int64_t fold, const Tile& tile, const at::Tensor& best) const override {
    return at::mm(block(fold, design_.held_out(fold), /*weighted=*/false), dual(fold, tile, best));
  }

  at::Tensor shift(const at::Tensor& coefficients) const override {
    const at::Tensor mean = given_ ? at::mv(kernel_, roots_.square()) / design_.all_weight() : all_mean();
    return (design_.intercept ? at::mv(coefficients.t(), mean) : at::zeros({coefficients.size(1)}, kernel_.options()))
        .neg();
  }

 private:
  const at::Tensor& trained_on(int64_t slot) const { return trained_on_[static_cast<std::size_t>(slot)]; }
  const at::Tensor& training(int64_t slot) const { return training_[static_cast<std::size_t>(slot)]; }

  /// (p,): weighted mean about the offset of the rows that are trained on.
  at::Tensor mean(int64_t slot) const {
    at::Tensor mean = at::zeros({design_.features}, kernel_.options());
    if (!design_.intercept) {
      return mean;
    }
    const at::Tensor& rows = trained_on(slot);
    const at::Tensor weights = take_rows(roots_, rows).square();
    const at::Tensor zero = at::zeros_like(mean);
    for (int64_t first = 0; first < design_.features; first += columns_at_once) {
      const int64_t count = std::min(columns_at_once, design_.features - first);
      mean.narrow(0, first, count)
          .copy_(at::mv(columns(design_, first, count, rows, zero).t(), weights) / at::sum(weights));
    }
    return mean;
  }

  at::Tensor all_mean() const { return mean(design_.fold_count()) + design_.offset; }

  /// Rows of the targets less the mean of those trained on, weighted.
  at::Tensor centered_targets(int64_t slot, const at::Tensor& rows, const Tile& tile) const {
    const at::Tensor y = take_rows(tile.rows(), rows);
    return design_.intercept ? at::addr(y, take_rows(roots_, rows).to(y.scalar_type()),
                                        tile.training_mean(slot).to(y.scalar_type()), 1, -1)
                             : y;
  }

  at::Tensor dual(int64_t slot, const Tile& tile, const at::Tensor& best) const {
    return ChosenSolver(training(slot), design_.alphas, design_.single, /*keep=*/false)
        .solve(centered_targets(slot, trained_on(slot), tile).to(at::kDouble), best);
  }

  /// (held-out rows, training rows) for each penalty: what training targets are multiplied by to predict.
  std::vector<at::Tensor> predictors(int64_t fold) const {
    const at::Tensor across = block(fold, design_.held_out(fold), /*weighted=*/true);
    std::vector<at::Tensor> result;
    each_solution(training(fold), across.t(), design_.alphas, design_.single,
                  [&](int64_t /*first*/, const at::Tensor& solutions) {
                    if (design_.between) {
                      design_.between();
                    }
                    for (const at::Tensor& solution : solutions.unbind(0)) {
                      result.push_back(solution.t().contiguous());
                    }
                  });
    return result;
  }

  /// Inner products of `rows`, weighted or not, and the training rows of a fold, both about the mean of the latter.
  at::Tensor block(int64_t slot, const at::Tensor& rows, bool weighted) const {
    const at::Tensor& train = trained_on(slot);
    const at::Tensor right = take_rows(roots_, train);
    const at::Tensor columns = kernel_.index_select(1, train.to(kernel_.device())) * right;
    at::Tensor part = take_rows(columns, rows);
    if (design_.intercept) {
      const at::Tensor weight = at::sum(right.square());
      const auto without_mean = [&](const at::Tensor& x) { return x - at::outer(at::mv(x, right) / weight, right); };
      const at::Tensor mean = at::mv(take_rows(columns, train).t(), right.square()) / weight;  // of the left-hand rows
      part = without_mean(part) - without_mean(mean.unsqueeze(0));
    }
    return weighted ? part * take_rows(roots_, rows).unsqueeze(1) : part;
  }

  Design design_;
  bool given_;
  at::Tensor kernel_;  // (n, n) float64
  at::Tensor roots_;   // (n,)
  std::vector<at::Tensor> trained_on_;
  std::vector<at::Tensor> training_;
  std::vector<std::vector<at::Tensor>> predictors_;  // of each fold and penalty; empty where targets are few
};

}  // namespace

at::Tensor inner_products(const Design& design) {
  const int64_t n = design.x.size(0);
  at::Tensor kernel = at::zeros({n, n}, design.offset.options());
  const at::Tensor zero = at::zeros({design.features}, kernel.options());
  const at::Tensor all = at::arange(n, at::kLong);
  for (int64_t first = 0; first < design.features; first += columns_at_once) {  // no float64 copy of X is made
    const int64_t count = std::min(columns_at_once, design.features - first);
    at::Tensor block = columns(design, first, count, all, zero);
    if (design.scales.defined()) {
      block.mul_(design.scales.narrow(0, first, count));
    }
    kernel.addmm_(block, block.t());
  }
  return kernel;
}

std::unique_ptr<Problem> kernel_problem(const Design& design, const at::Tensor& kernel) {
  return std::make_unique<KernelProblem>(design, kernel);
}

}  // namespace brain2music::ridge
