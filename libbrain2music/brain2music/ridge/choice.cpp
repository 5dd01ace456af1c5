#include "brain2music/ridge/choice.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/sum.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "brain2music/ridge/rows.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {
namespace {

double operations(Solver solver, double n, double p, double t, double alphas, double folds) {
  const double parts = std::max(folds, 2.0);  // one fold alone says nothing of its size
  const double train = n * (parts - 1) / parts;
  const double held = n / parts;
  switch (solver) {
    case Solver::kernel:
      return 4 * n * n * p +
             folds * alphas *
                 (2 * train * train * train / 3 + 2 * train * train * std::min(t, held) + 2 * held * train * t);
    case Solver::cholesky:
      return 2 * n * p * (p + t) + folds * alphas * (p * p * p / 3 + t * (2 * p * p + 2 * p * std::min(p, held)));
    default:  // an eigendecomposition takes the time of about 60 p^3 operations of a product of matrices
      return 2 * n * p * (p + t) + folds * (60 * p * p * p + t * (4 * p * p + 2 * p * std::min(p, held)));
  }
}

}  // namespace

std::vector<double> default_alphas() { return {1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6}; }

// NOLINTNEXTLINE(modernize-use-string-view): part of the interface, and handed to Python
std::string solver_name(Solver solver) {
  switch (solver) {
    case Solver::eigenbasis:
      return "eigenbasis";
    case Solver::cholesky:
      return "cholesky";
    case Solver::kernel:
      return "kernel";
    default:
      return "auto";
  }
}

Solver choose_solver(const RidgeOptions& options, int64_t n, int64_t p, int64_t t, int64_t folds,
                     const at::Device& device) {
  if (options.solver != Solver::automatic) {
    return options.solver;
  }
  const std::size_t alphas = options.alphas.empty() ? default_alphas().size() : options.alphas.size();
  const auto count = [&](Solver solver) {
    // On a CPU the sums of about so many penalties make those of others: see PenaltyNodes.
    constexpr std::size_t nodes = 7;
    const std::size_t solved = solver == Solver::cholesky && device.is_cpu() ? std::min(alphas, nodes) : alphas;
    return operations(solver, static_cast<double>(n), static_cast<double>(p), static_cast<double>(t),
                      static_cast<double>(solved), static_cast<double>(folds));
  };
  Solver best = count(Solver::eigenbasis) < count(Solver::cholesky) ? Solver::eigenbasis : Solver::cholesky;
  return p > n && count(Solver::kernel) < count(best) ? Solver::kernel : best;
}

std::vector<double> penalty_grid(const RidgeOptions& options, const Design& design, const at::Tensor& gram) {
  if (!options.alphas.empty()) {
    return options.alphas;
  }
  // The mean eigenvalue of X'X, X about its mean where there is an intercept.
  double trace = 0;
  if (gram.defined()) {
    const at::Tensor all = gram.select(0, design.fold_count());
    const at::Tensor sums = all.select(0, design.features).narrow(0, 0, design.features);
    const at::Tensor squares = all.diagonal().narrow(0, 0, design.features);
    trace = has_values(all)
                ? at::sum(design.intercept ? squares - sums.square() / design.all_weight() : squares).item<double>()
                : static_cast<double>(design.features);
  } else if (!has_values(design.x)) {
    trace = static_cast<double>(design.features);
  } else {
    const at::Tensor x = design.rows->in(design.type);
    const at::Tensor norms = at::linalg_vector_norm(x, 2, at::IntArrayRef{0}, false, at::kDouble).square();
    const at::Tensor sums = at::mv(x.t(), x.select(1, design.features)).to(at::kDouble);
    const at::Tensor squares = design.intercept ? norms - sums.square() / design.all_weight() : norms;
    trace = at::sum(squares.narrow(0, 0, design.features)).item<double>();
  }
  return relative_alphas(trace / static_cast<double>(design.features));
}

std::vector<double> relative_alphas(double mean_eigenvalue) {
  std::vector<double> alphas = default_alphas();
  for (double& alpha : alphas) {
    alpha *= mean_eigenvalue > 0 ? mean_eigenvalue : 1;  // all of X constant: any penalty gives the mean
  }
  return alphas;
}

}  // namespace brain2music::ridge
