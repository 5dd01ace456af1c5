#include "brain2music/ridge/fit.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/all.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/logical_or.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/promote_types.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/std_mean.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/trace.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "brain2music/check.h"
#include "brain2music/ridge/rows.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {
namespace {

// A target that varies by less than this share of its square sum is constant but for rounding.
constexpr double constant_share = 1e-12;

// A penalty at an edge of the grid is worth a word only if it is better than its neighbour by this.
constexpr double edge_gain = 1e-3;

// What a tile of targets may take while it is worked on: a share of the last-level cache.
constexpr int64_t tile_bytes = int64_t{10} << 20;

/// Sums of the targets over the rows held out in each fold and over all rows (last).
struct TargetSums {
  at::Tensor sums;     // (folds + 1, t) float64
  at::Tensor squares;  // (folds + 1, t) float64
};

struct Scores {
  at::Tensor chosen_by;    // (penalties, t): by what the penalty is chosen
  at::Tensor correlation;  // (penalties, t)
};

/// Adds one fold's scores.
void add_scores(const HeldOutSums& sums, const TargetSums& targets, int64_t fold, const RidgeOptions& options,
                double held_rows, double train_rows, const Scores& scores) {
  const int64_t all = targets.sums.size(0) - 1;
  const at::Tensor sum = targets.sums[fold];
  const at::Tensor variation = targets.squares[fold] - sum.square() / held_rows;
  const at::Tensor constant = variation <= targets.squares[fold] * constant_share;
  const at::Tensor mean = options.fit_intercept ? (targets.sums[all] - sum) / train_rows : at::zeros_like(sum);
  const at::Tensor centered_sum = sum - held_rows * mean;  // of targets less their training mean
  const at::Tensor covariance = sums.product - sums.predicted * centered_sum / held_rows;
  const at::Tensor spread = sums.squares - sums.predicted.square() / held_rows;
  const at::Tensor flat = at::logical_or(spread <= sums.squares * constant_share, constant);
  const at::Tensor r = at::where(flat, at::zeros({}, spread.options()), covariance / at::sqrt(spread * variation));
  scores.correlation.add_(r);
  if (options.scoring == Scoring::r2) {
    const at::Tensor squares = variation + centered_sum.square() / held_rows;
    const at::Tensor error = squares - 2 * sums.product + sums.squares;
    scores.chosen_by.add_(at::where(constant, at::zeros({}, error.options()), 1 - error / variation));
  } else {
    scores.chosen_by.add_(r);
  }
}

double operations(Solver solver, double n, double p, double t, double alphas, double folds) {
  const double train = n * (folds - 1) / folds;
  const double held = n / folds;
  switch (solver) {
    case Solver::kernel:
      return 4 * n * n * p +
             2 * folds * alphas * (train * train * train / 3 + t * (2 * train * train + 2 * held * train));
    case Solver::cholesky:
      return 2 * n * p * (p + t) +
             2 * folds * alphas * (p * p * p / 3 + t * (2 * p * p + 2 * p * std::min(p, 2 * held)));
    default:  // the others count double, for float64; an eigendecomposition takes the time of about 60 p^3 operations
              // of a matrix product
      return 2 * n * p * (p + t) + folds * (60 * p * p * p + 8 * p * p * t);
  }
}

Solver choose(const RidgeOptions& options, int64_t n, int64_t p, int64_t t, std::size_t alphas, int64_t folds) {
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

std::vector<double> grid(const RidgeOptions& options, const Design& design, const at::Tensor& gram) {
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

/// No column's mean is larger than its spread.
bool is_centered(const at::Tensor& x) {
  if (!has_values(x)) {
    return true;
  }
  const auto [spread, mean] = at::std_mean(x, at::IntArrayRef{0}, std::optional<at::Scalar>(0));
  return at::all(mean.abs() <= spread).item<bool>();
}

std::unique_ptr<Problem> make_problem(Solver solver, const Design& design, const at::Tensor& gram) {
  switch (solver) {
    case Solver::kernel:
      return kernel_problem(design);
    case Solver::cholesky:
      return cholesky_problem(design, gram);
    default:
      return eigenbasis_problem(design, gram);
  }
}

void count_edges(const at::Tensor& path, const at::Tensor& best, RidgeFit& fit) {
  const int64_t last = path.size(0) - 1;
  if (last < 1 || !has_values(path)) {
    return;
  }
  const auto count = [&](int64_t edge, int64_t neighbour) {
    const at::Tensor gains = at::logical_and(path[edge] - path[neighbour] > edge_gain, path[edge] > 0);
    return at::sum(at::logical_and(gains, best == edge)).item<int64_t>();
  };
  const bool increasing = fit.alphas[last].item<double>() > fit.alphas[0].item<double>();
  const int64_t first_count = count(0, 1);
  const int64_t last_count = count(last, last - 1);
  fit.at_lower_edge += increasing ? first_count : last_count;
  fit.at_upper_edge += increasing ? last_count : first_count;
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

void check_options(const RidgeOptions& options, std::string_view where) {
  for (const double alpha : options.alphas) {
    require(std::isfinite(alpha) && alpha > 0, where, "alphas must be positive and finite; got ", alpha);
  }
}

void check_targets(const at::Tensor& y, std::string_view where) {
  check_matrix(y, "Y", where);
  require_finite(y, "Y", where);
}

RidgeFit fit_problem(const at::Tensor& x, const at::Tensor& y, const Folds& folds, const RidgeOptions& options,
                     std::string_view where) {
  check_matrix(x, "X", where);
  require(x.size(0) == y.size(0), where, "X and Y must have equal rows; got ", x.sizes(), " and ", y.sizes());
  require(x.device() == y.device(), where, "X and Y must lie on one device; got ", x.device().str(), " and ",
          y.device().str());
  require_finite(x, "X", where);
  const at::ScalarType type = at::promote_types(working_type(x.scalar_type()), working_type(y.scalar_type()));
  const int64_t p = x.size(1);
  const int64_t t = y.size(1);
  const int64_t count = folds.size();

  const CenteredRows centered = centered_rows(x.to(type), /*ones=*/true, /*zero=*/!options.fit_intercept);
  Design design{centered.values, folds, {}, options.fit_intercept};
  const std::size_t alphas = options.alphas.empty() ? default_alphas().size() : options.alphas.size();
  RidgeFit fit;
  fit.solver = choose(options, x.size(0), p, t, alphas, count);
  at::Tensor gram;
  if (fit.solver != Solver::kernel) {
    gram = fold_gram(design.rows, folds);
  }
  design.alphas = grid(options, design, gram);
  // Without an intercept, means many times the spread leave float32 few digits of what varies.
  design.single = type == at::kFloat && (options.fit_intercept || is_centered(design.x()));
  const auto penalties = static_cast<int64_t>(design.alphas.size());
  const std::unique_ptr<Problem> problem = make_problem(fit.solver, design, gram);

  const at::TensorOptions out = centered.values.options();
  fit.alphas = at::tensor(design.alphas, at::kDouble);
  const at::Tensor grid_there = fit.alphas.to(x.device());
  fit.best = at::empty({t}, out.dtype(at::kLong));
  fit.cv_scores = at::empty({t}, out);
  fit.correlations = at::empty({t}, out);
  if (options.keep_path) {
    fit.cv_path = at::empty({penalties, t}, out);
  }
  if (options.keep_predictions) {
    fit.predictions = at::full({x.size(0), t}, std::numeric_limits<double>::quiet_NaN(), out);
  }
  if (options.refit) {
    fit.coef = at::empty({p, t}, out);
    fit.intercept = at::zeros({t}, out);
  }

  const auto each_tile = [&](const auto& use) {
    const int64_t per_target =
        8 * (x.size(0) + (p + 1) * (count + 1) + (fit.solver == Solver::cholesky ? 2 * p * penalties : 0) +
             (fit.solver == Solver::kernel ? 2 * x.size(0) * penalties : 0));
    const int64_t width = std::clamp<int64_t>(tile_bytes / per_target / 64 * 64, 64, 2048);
    for (int64_t first = 0; first < t; first += width) {
      const int64_t targets = std::min(width, t - first);
      const CenteredRows tile =
          centered_rows(y.narrow(1, first, targets).to(type), /*ones=*/false, /*zero=*/!options.fit_intercept);
      use(first, targets, tile, problem->products(tile.values));
    }
  };

  const auto score = [&](const CenteredRows& tile, const at::Tensor& products) {
    const at::Tensor ones = at::ones({x.size(0), 1}, out);
    const TargetSums sums{fold_products(ones, tile.values, folds).squeeze(1), fold_squares(tile.values, folds)};
    const at::Tensor zero = at::zeros({penalties, tile.values.size(1)}, out.dtype(at::kDouble));
    const Scores scores{zero, zero.clone()};
    for (int64_t fold = 0; fold < count; ++fold) {
      const auto held_rows = static_cast<double>(folds.held_out[static_cast<std::size_t>(fold)].numel());
      add_scores(problem->held_out(fold, products), sums, fold, options, held_rows,
                 static_cast<double>(x.size(0)) - held_rows, scores);
    }
    scores.chosen_by.div_(count);
    scores.correlation.div_(count);
    return scores;
  };

  const auto finish = [&](int64_t first, int64_t targets, const CenteredRows& tile, const at::Tensor& products,
                          const at::Tensor& best) {
    if (options.refit) {
      const at::Tensor coef = problem->coefficients(count, products, best);
      fit.coef.narrow(1, first, targets).copy_(coef);
      if (options.fit_intercept) {
        const at::Tensor y_mean = at::mean(tile.values, at::IntArrayRef{0}, false, at::kDouble) + tile.offset;
        fit.intercept.narrow(0, first, targets)
            .copy_(y_mean - at::mv(coef.t(), problem->mean(count) + centered.offset));
      }
    }
    if (options.keep_predictions) {
      for (int64_t fold = 0; fold < count; ++fold) {
        const at::Tensor& rows = folds.held_out[static_cast<std::size_t>(fold)];
        const at::Tensor coef = problem->coefficients(fold, products, best);
        at::Tensor predicted = at::mm(take_rows(design.x(), rows).to(at::kDouble) - problem->mean(fold), coef);
        if (options.fit_intercept) {
          const at::Tensor train = at::sum(tile.values, at::IntArrayRef{0}, false, at::kDouble) -
                                   at::sum(take_rows(tile.values, rows), at::IntArrayRef{0}, false, at::kDouble);
          predicted.add_(train / static_cast<double>(x.size(0) - rows.numel()) + tile.offset);
        }
        fit.predictions.narrow(1, first, targets).index_copy_(0, rows.to(x.device()), predicted.to(type));
      }
    }
  };

  const auto record = [&](int64_t first, int64_t targets, const Scores& scores, const at::Tensor& best) {
    const at::Tensor index = best.unsqueeze(0);
    fit.best.narrow(0, first, targets).copy_(best);
    fit.cv_scores.narrow(0, first, targets).copy_(at::gather(scores.chosen_by, 0, index).squeeze(0));
    fit.correlations.narrow(0, first, targets).copy_(at::gather(scores.correlation, 0, index).squeeze(0));
    if (options.keep_path) {
      fit.cv_path.narrow(1, first, targets).copy_(scores.chosen_by);
    }
    count_edges(scores.chosen_by, best, fit);
  };

  if (options.alpha_per_target) {
    each_tile([&](int64_t first, int64_t targets, const CenteredRows& tile, const at::Tensor& products) {
      const Scores scores = score(tile, products);
      const at::Tensor best = at::argmax(scores.chosen_by, 0);
      record(first, targets, scores, best);
      finish(first, targets, tile, products, best);
    });
  } else {  // one penalty for all targets is known only once all are scored
    std::vector<Scores> scored;
    at::Tensor total = at::zeros({penalties}, out.dtype(at::kDouble));
    each_tile([&](int64_t, int64_t, const CenteredRows& tile, const at::Tensor& products) {
      scored.push_back(score(tile, products));
      total.add_(at::sum(scored.back().chosen_by, 1));
    });
    const at::Tensor best = at::argmax(total);
    std::size_t number = 0;
    each_tile([&](int64_t first, int64_t targets, const CenteredRows& tile, const at::Tensor& products) {
      record(first, targets, scored[number++], best.expand({targets}));
      finish(first, targets, tile, products, best.expand({targets}));
    });
  }
  fit.best_alphas = grid_there.index_select(0, fit.best).to(type);
  return fit;
}

}  // namespace brain2music::ridge
