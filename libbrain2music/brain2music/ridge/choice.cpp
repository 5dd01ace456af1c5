#include "brain2music/ridge/choice.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/trace.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "brain2music/ridge/gram_problem.h"
#include "brain2music/ridge/rows.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {
namespace {

double operations(Solver solver, double n, double p, double t, double alphas, double folds) {
  const double train = n * (folds - 1) / folds;
  const double held = n / folds;
  switch (solver) {
    case Solver::kernel:
      return 4 * n * n * p +
             2 * folds * alphas * (train * train * train / 3 + t * (2 * train * train + 2 * held * train));
    case Solver::cholesky:
      return 2 * n * p * (p + t) + 2 * folds * alphas * (p * p * p / 3 + t * (2 * p * p + 2 * p * std::min(p, held)));
    default:  // the others count double, for float64; an eigendecomposition takes the time of about 60 p^3 operations
              // of a matrix product
      return 2 * n * p * (p + t) + folds * (60 * p * p * p + 8 * p * p * t);
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

Solver choose_solver(const RidgeOptions& options, int64_t n, int64_t p, int64_t t, std::size_t alphas, int64_t folds) {
  if (options.solver != Solver::automatic) {
    return options.solver;
  }
  const auto count = [&](Solver solver) {
    return operations(solver, static_cast<double>(n), static_cast<double>(p), static_cast<double>(t),
                      static_cast<double>(alphas), static_cast<double>(folds));
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
  const at::Tensor x = design.x();
  const auto rows = static_cast<double>(x.size(0));
  if (!has_values(x)) {
    trace = static_cast<double>(x.size(1));
  } else if (gram.defined()) {
    trace = at::trace(fold_gram_of(gram, gram.size(0) - 1, design.intercept).train).item<double>();
  } else {
    const at::Tensor norms = at::linalg_vector_norm(x, 2, at::IntArrayRef{0}, false, at::kDouble).square();
    const at::Tensor sums = at::sum(x, at::IntArrayRef{0}, false, at::kDouble);
    trace = at::sum(design.intercept ? norms - sums.square() / rows : norms).item<double>();
  }
  const double mean = trace / static_cast<double>(x.size(1));
  std::vector<double> alphas = default_alphas();
  for (double& alpha : alphas) {
    alpha *= mean > 0 ? mean : 1;  // all of X constant: any penalty gives the mean
  }
  return alphas;
}

}  // namespace brain2music::ridge
