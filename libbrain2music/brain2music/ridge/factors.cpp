#include "brain2music/ridge/factors.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/any.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cholesky_solve.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/max.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/sub.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/ridge/packed_cholesky.h"
#include "brain2music/ridge/rows.h"

namespace brain2music::ridge {

/// Factors of gram + alpha I for some alphas: one at a time on a CPU, which keeps it in its cache; all at once on a
/// GPU, which they keep busy.
class Factors {
 public:
  Factors(const at::Tensor& gram, const double* alphas, int64_t count) : type_(gram.scalar_type()) {
    if (gram.is_cpu() && has_values(gram) && count == 1) {
      if (type_ == at::kFloat) {
        pack(packed_single_, gram, *alphas);
      } else {
        pack(packed_double_, gram, *alphas);
      }
      return;
    }
    at::Tensor shifted = gram.unsqueeze(0).repeat({count, 1, 1});
    for (int64_t i = 0; i < count; ++i) {
      shifted[i].diagonal().add_(alphas[i]);
    }
    const auto [lower, info] = at::linalg_cholesky_ex(shifted);
    lower_ = lower;
    if (has_values(info) && at::any(info != 0).item<bool>()) {
      failed_ = at::nonzero(info)[0][0].item<int64_t>();
    }
  }

  /// Number of the first alpha for which the matrix is not positive definite in its precision, or -1.
  int64_t failed() const { return failed_; }

  /// @param right (p, t)
  /// @return (alphas, p, t)
  at::Tensor solve(const at::Tensor& right) const {
    if (packed_single_) {
      return solve_panels(*packed_single_, right);
    }
    if (packed_double_) {
      return solve_panels(*packed_double_, right);
    }
    return at::cholesky_solve(right.unsqueeze(0).expand({lower_.size(0), right.size(0), right.size(1)}), lower_);
  }

  /// In place, if this is a factor in float32 on a CPU; else false.
  bool solve(Panels<float>& panels) const {
    if (!packed_single_) {
      return false;
    }
    solve_panels(*packed_single_, panels);
    return true;
  }

  at::ScalarType type() const { return type_; }

 private:
  template <class Real>
  void pack(std::optional<PackedCholesky<Real>>& packed, const at::Tensor& gram, double alpha) {
    packed.emplace(gram.size(0));
    failed_ = packed->factor(PackedMatrix<Real>(gram), alpha) ? -1 : 0;
  }

  template <class Real>
  static void solve_panels(const PackedCholesky<Real>& factor, Panels<Real>& panels) {
    at::parallel_for(0, panels.count(), 1, [&](int64_t first, int64_t last) {
      constexpr int64_t at_once = PackedCholesky<Real>::panels_at_once;
      for (int64_t panel = first; panel < last; panel += at_once) {
        const int64_t count = std::min(at_once, last - panel);
        factor.solve(panels.at(panel), panels.at(panel), panels.step(), count);
      }
    });
  }

  template <class Real>
  static at::Tensor solve_panels(const PackedCholesky<Real>& factor, const at::Tensor& right) {
    Panels<Real> panels(right);
    solve_panels(factor, panels);
    return panels.unpacked(right.size(0), right.size(1)).unsqueeze(0);
  }

  at::ScalarType type_;
  std::optional<PackedCholesky<float>> packed_single_;
  std::optional<PackedCholesky<double>> packed_double_;
  at::Tensor lower_;
  int64_t failed_ = -1;
};

namespace {

// Up to this ratio of penalised eigenvalues a float32 factor leaves solutions exact to a few millionths.
constexpr double single_precision_condition = 400;

// Up to this ratio they are as exact as float32 products with the targets are.
constexpr double unrefined_condition = 20;

at::Tensor unit_columns(const at::Tensor& v) {
  return v / at::linalg_vector_norm(v, 2, at::IntArrayRef{0}, true).clamp_min(1e-30);
}

/// Products of targets with [X, 1], the last row being their sums, become those with X about `mean`, the last row zero.
void take_mean(Panels<float>& products, const at::Tensor& mean, int64_t features) {
  constexpr int64_t width = Panels<float>::width;
  const auto* means = mean.defined() ? mean.const_data_ptr<float>() : nullptr;
  for (int64_t panel = 0; panel < products.count(); ++panel) {
    float* row = products.at(panel);
    float* sums = row + features * width;
    for (int64_t feature = 0; means != nullptr && feature < features; ++feature, row += width) {
      for (int64_t column = 0; column < width; ++column) {
        row[column] -= means[feature] * sums[column];
      }
    }
    std::fill_n(sums, width, 0.0F);
  }
}

}  // namespace

SinglePrecision::SinglePrecision(const at::Tensor& gram, const std::vector<double>& alphas) {
  if (!gram.defined() || !has_values(gram)) {
    return;
  }
  constexpr int64_t vectors = 16;  // a panel: fewer take as long
  constexpr int iterations = 3;
  least_ = *std::ranges::min_element(alphas);
  const Factors factors(gram, &least_, 1);
  if (factors.failed() >= 0) {
    return;
  }
  at::Tensor v = at::sin(at::arange(1, gram.size(0) * vectors + 1, gram.options()).mul_(1.7)).view({-1, vectors});
  at::Tensor w = v;
  for (int i = 0; i < iterations; ++i) {
    v = at::mm(gram, unit_columns(v));
    w = factors.solve(unit_columns(w))[0];
  }
  const auto growth = [](const at::Tensor& x) {
    return at::max(at::linalg_vector_norm(x, 2, at::IntArrayRef{0})).item<double>();
  };
  largest_ = 1.5 * growth(v) + least_;
  smallest_ = 1 / (2 * growth(w));
}

bool SinglePrecision::suffices(double alpha) const {
  return largest_ > 0 && largest_ + alpha - least_ <= single_precision_condition * (smallest_ + alpha - least_);
}

bool SinglePrecision::suffices_unrefined(double alpha) const {
  return largest_ > 0 && largest_ + alpha - least_ <= unrefined_condition * (smallest_ + alpha - least_);
}

PenalisedGram::PenalisedGram(const at::Tensor& gram, const std::vector<double>& alphas, bool single)
    : gram_(gram), single_(single ? gram.to(at::kFloat) : at::Tensor()), precision_(single_, alphas) {}

Factors PenalisedGram::factors(const double* alphas, int64_t count) const {
  if (precision_.suffices(*alphas)) {
    Factors factors(single_, alphas, count);
    if (factors.failed() < 0) {
      return factors;
    }
  }
  Factors factors(gram_, alphas, count);
  if (factors.failed() >= 0) {
    refuse_penalty(alphas[factors.failed()]);
  }
  return factors;
}

void refuse_penalty(double alpha) {
  throw std::invalid_argument(error_message(
      "ridge.cholesky",
      "X'X + alpha I, or kernel + alpha I, must be positive definite in float64: alpha is too small for columns of X "
      "that nearly repeat one another, or for the negative eigenvalues of a kernel; got alpha ",
      alpha));
}

void each_solution(const at::Tensor& gram, const at::Tensor& right, const std::vector<double>& alphas, bool single,
                   c10::function_ref<void(int64_t, const at::Tensor&)> use) {
  const PenalisedGram penalised(gram, alphas, single);
  const at::Tensor right_single = single ? right.to(at::kFloat) : at::Tensor();
  const auto count = static_cast<int64_t>(alphas.size());
  // A CPU keeps one factor in its cache; a GPU is kept busy by all of them at once.
  const int64_t at_once = gram.is_cuda() ? count : 1;
  for (int64_t first = 0; first < count;) {
    const double* alpha = &alphas[static_cast<std::size_t>(first)];
    int64_t number = 1;
    while (number < at_once && first + number < count &&
           penalised.in_single(alpha[number]) == penalised.in_single(*alpha)) {
      ++number;
    }
    const Factors factors = penalised.factors(alpha, number);
    use(first, factors.solve(factors.type() == right.scalar_type() ? right : right_single));
    first += number;
  }
}

ChosenSolver::ChosenSolver(at::Tensor gram, std::vector<double> alphas, bool single, bool keep)
    : gram_(std::move(gram)), alphas_(std::move(alphas)), single_(single), keep_(keep), kept_(alphas_.size()) {}

ChosenSolver::~ChosenSolver() = default;

const PenalisedGram& ChosenSolver::penalised() const {
  if (!penalised_) {
    penalised_.emplace(gram_, alphas_, single_);
  }
  return *penalised_;
}

std::shared_ptr<const Factors> ChosenSolver::factors(std::size_t alpha) const {
  const std::scoped_lock lock(mutex_);
  if (keep_ && kept_[alpha]) {
    return kept_[alpha];
  }
  auto made = std::make_shared<const Factors>(penalised().factors(&alphas_[alpha], 1));
  if (keep_) {
    kept_[alpha] = made;
  }
  return made;
}

bool ChosenSolver::refined(const Factors& factors, std::size_t alpha) const {
  return factors.type() == at::kFloat && penalised().refined(alphas_[alpha]);
}

void ChosenSolver::each_choice(const at::Tensor& best,
                               c10::function_ref<void(std::size_t, const at::Tensor&)> use) const {
  for (std::size_t i = 0; i < alphas_.size(); ++i) {
    const at::Tensor targets = at::nonzero(best == static_cast<int64_t>(i)).squeeze(1);
    if (targets.numel() > 0) {
      use(i, targets);
    }
  }
}

at::Tensor ChosenSolver::solve_with(std::size_t alpha, const at::Tensor& right) const {
  const std::shared_ptr<const Factors> factors = this->factors(alpha);
  const auto solve = [&](const at::Tensor& columns) {
    return factors->solve(columns.to(factors->type()))[0].to(at::kDouble);
  };
  at::Tensor solution = solve(right);
  // What float32 leaves over is solved for once more: the error is squared.
  if (refined(*factors, alpha)) {
    solution.add_(solve(at::sub(right, at::mm(gram_, solution)).sub_(solution, alphas_[alpha])));
  }
  return solution;
}

at::Tensor ChosenSolver::solve(const at::Tensor& cross, const at::Tensor& best) const {
  at::Tensor result = at::empty_like(cross);
  each_choice(best, [&](std::size_t alpha, const at::Tensor& targets) {
    result.index_copy_(1, targets, solve_with(alpha, cross.index_select(1, targets)));
  });
  return result;
}

at::Tensor ChosenSolver::solve(const Panels<float>& products, const at::Tensor& mean, const at::Tensor& best) const {
  const int64_t p = gram_.size(0);
  at::Tensor result = at::empty({p, best.numel()}, at::kFloat);
  each_choice(best, [&](std::size_t alpha, const at::Tensor& targets) {
    Panels<float> right(products, p + 1, targets);
    take_mean(right, mean, p);
    const std::shared_ptr<const Factors> factors = this->factors(alpha);
    if (!refined(*factors, alpha) && factors->solve(right)) {
      right.put(targets, result);
    } else {
      const at::Tensor wide = right.unpacked(p, targets.numel()).to(at::kDouble);
      result.index_copy_(1, targets, solve_with(alpha, wide).to(at::kFloat));
    }
  });
  return result;
}

}  // namespace brain2music::ridge
