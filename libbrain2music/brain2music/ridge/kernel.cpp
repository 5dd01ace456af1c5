#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "brain2music/ridge/factors.h"
#include "brain2music/ridge/rows.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {
namespace {

/// (n, n) float64: x x', in blocks of columns so that no float64 copy of x is made.
at::Tensor inner_products(const at::Tensor& x) {
  constexpr int64_t columns_at_once = 1024;
  at::Tensor kernel = at::zeros({x.size(0), x.size(0)}, x.options().dtype(at::kDouble));
  for (int64_t first = 0; first < x.size(1); first += columns_at_once) {
    const at::Tensor block = x.narrow(1, first, std::min(columns_at_once, x.size(1) - first)).to(at::kDouble);
    kernel.addmm_(block, block.t());
  }
  return kernel;
}

/// The dual form: coefficients are X' times (X X' + alpha I)^-1 Y, all about training means.
class KernelProblem final : public Problem {
 public:
  explicit KernelProblem(const Design& design) : design_(design), kernel_(inner_products(design.x())) {
    const int64_t n = design.rows.size(0);
    for (const at::Tensor& held_out : design.folds.held_out) {
      at::Tensor in_training = at::ones({n}, at::kBool);
      in_training.index_fill_(0, held_out, false);
      trained_on_.push_back(at::nonzero(in_training).squeeze(1));
    }
    trained_on_.push_back(at::arange(n, at::kLong));
    for (int64_t slot = 0; slot <= design.folds.size(); ++slot) {
      training_.push_back(block(slot, trained_on(slot)));
    }
  }

  at::Tensor products(const at::Tensor& y) const override { return y.to(at::kDouble); }

  HeldOutSums held_out(int64_t fold, const at::Tensor& y) const override {
    const at::Tensor& rows = design_.folds.held_out[static_cast<std::size_t>(fold)];
    const at::Tensor mean = target_mean(fold, y);
    const at::Tensor held = take_rows(y, rows) - mean;
    const at::Tensor across = block(fold, rows);
    const auto alphas = static_cast<int64_t>(design_.alphas.size());
    HeldOutSums sums;
    sums.predicted = at::empty({alphas, y.size(1)}, y.options());
    sums.product = at::empty_like(sums.predicted);
    sums.squares = at::empty_like(sums.predicted);
    const auto add = [&](int64_t first, const at::Tensor& dual) {
      const at::ScalarType type = dual.scalar_type();
      const int64_t count = dual.size(0);
      at::Tensor predicted = at::matmul(across.to(type), dual);
      sums.predicted.narrow(0, first, count).copy_(at::sum(predicted, 1));
      sums.product.narrow(0, first, count).copy_(at::sum(predicted * held.to(type), 1));
      sums.squares.narrow(0, first, count).copy_(at::sum(predicted.square_(), 1));
    };
    each_solution(training(fold), take_rows(y, trained_on(fold)) - mean, design_.alphas, design_.single, add);
    return sums;
  }

  at::Tensor coefficients(int64_t slot, const at::Tensor& y, const at::Tensor& best) const override {
    const at::Tensor& rows = trained_on(slot);
    const at::Tensor centered = take_rows(y, rows) - target_mean(slot, y);
    const at::Tensor dual =
        ChosenSolver(training(slot), design_.alphas, design_.single, /*keep=*/false).solve(centered, best);
    const at::Tensor x = take_rows(design_.x(), rows);
    at::Tensor result = at::empty({x.size(1), y.size(1)}, y.options());
    constexpr int64_t columns_at_once = 1024;
    for (int64_t first = 0; first < x.size(1); first += columns_at_once) {
      const int64_t count = std::min(columns_at_once, x.size(1) - first);
      const at::Tensor part = x.narrow(1, first, count).to(at::kDouble) - mean(slot).narrow(0, first, count);
      result.narrow(0, first, count).copy_(at::mm(part.t(), dual));
    }
    return result;
  }

  at::Tensor mean(int64_t slot) const override {
    const at::Tensor x = design_.x();
    return design_.intercept ? at::mean(take_rows(x, trained_on(slot)), at::IntArrayRef{0}, false, at::kDouble)
                             : at::zeros({x.size(1)}, x.options().dtype(at::kDouble));
  }

 private:
  const at::Tensor& trained_on(int64_t slot) const { return trained_on_[static_cast<std::size_t>(slot)]; }

  const at::Tensor& training(int64_t slot) const { return training_[static_cast<std::size_t>(slot)]; }

  at::Tensor target_mean(int64_t slot, const at::Tensor& y) const {
    return design_.intercept ? at::mean(take_rows(y, trained_on(slot)), at::IntArrayRef{0})
                             : at::zeros({y.size(1)}, y.options());
  }

  /// Inner products of `rows` and the training rows of a fold, both about the mean of the latter.
  at::Tensor block(int64_t slot, const at::Tensor& rows) const {
    const at::Tensor& train = trained_on(slot);
    const at::Tensor columns = kernel_.index_select(1, train.to(kernel_.device()));
    const at::Tensor part = take_rows(columns, rows);
    if (!design_.intercept) {
      return part.contiguous();
    }
    const at::Tensor means = at::mean(take_rows(columns, train), at::IntArrayRef{0});
    return part - at::mean(part, at::IntArrayRef{1}, true) - means + at::mean(means);
  }

  Design design_;
  at::Tensor kernel_;
  std::vector<at::Tensor> trained_on_;
  std::vector<at::Tensor> training_;
};

}  // namespace

std::unique_ptr<Problem> kernel_problem(const Design& design) { return std::make_unique<KernelProblem>(design); }

}  // namespace brain2music::ridge
