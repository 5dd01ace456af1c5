#include "brain2music/ridge/fit.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/all.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/logical_or.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/promote_types.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/std_mean.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/ridge/choice.h"
#include "brain2music/ridge/rows.h"
#include "brain2music/ridge/side_by_side.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {
namespace {

// A target that varies by less than this share of its square sum is constant but for rounding.
constexpr double constant_share = 1e-12;

// A penalty at an edge of the grid is worth a word only if it is better than its neighbour by this.
constexpr double edge_gain = 1e-3;

// What a tile of targets may take while it is worked on: a share of the last-level cache.
constexpr int64_t tile_bytes = int64_t{10} << 20;

// The same where every tile costs a factor for each fold and penalty: the fewer tiles, the better.
constexpr int64_t factored_tile_bytes = int64_t{160} << 20;

struct Scores {
  at::Tensor chosen_by;    // (penalties, t): by what the penalty is chosen
  at::Tensor correlation;  // (penalties, t)
};

/// Adds one fold's scores.
void add_scores(const HeldOutSums& sums, const Moments& targets, int64_t fold, const RidgeOptions& options,
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

/// No column's mean is larger than its spread.
bool is_centered(const at::Tensor& x, const at::Tensor& gram) {
  if (!has_values(x)) {
    return true;
  }
  if (!gram.defined()) {
    const auto [spread, mean] = at::std_mean(x, at::IntArrayRef{0}, std::optional<at::Scalar>(0));
    return at::all(mean.abs() <= spread).item<bool>();
  }
  const at::Tensor all = gram[gram.size(0) - 1];
  const int64_t p = all.size(0) - 1;
  const at::Tensor mean = all[p].narrow(0, 0, p) / all[p][p];
  return at::all(2 * mean.square() <= all.diagonal().narrow(0, 0, p) / all[p][p]).item<bool>();
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

/// Targets best at an edge of the grid, by more than rounding.
std::pair<int64_t, int64_t> count_edges(const at::Tensor& path, const at::Tensor& best) {
  const int64_t last = path.size(0) - 1;
  if (last < 1 || !has_values(path)) {
    return {0, 0};
  }
  const auto count = [&](int64_t edge, int64_t neighbour) {
    const at::Tensor gains = at::logical_and(path[edge] - path[neighbour] > edge_gain, path[edge] > 0);
    return at::sum(at::logical_and(gains, best == edge)).item<int64_t>();
  };
  return {count(0, 1), count(last, last - 1)};
}

/// Some neighbouring targets, and what the problem wants to know of them.
struct Tile {
  int64_t first;
  int64_t targets;
  CenteredRows y;
  Moments moments;
  at::Tensor products;
};

/// All targets of one X, tile by tile; the tiles do not depend on the number of threads, nor does the result.
class Fitting {
 public:
  Fitting(const Design& design, const at::Tensor& x_offset, const Problem& problem, const at::Tensor& y,
          const RidgeOptions& options, RidgeFit& fit)
      : design_(design), x_offset_(x_offset), problem_(problem), y_(y), options_(options), fit_(fit) {
    const at::TensorOptions out = design.rows.options();
    const auto penalties = static_cast<int64_t>(design.alphas.size());
    const int64_t t = y.size(1);
    fit.alphas = at::tensor(design.alphas, at::kDouble);
    fit.best = at::empty({t}, out.dtype(at::kLong));
    fit.cv_scores = at::empty({t}, out);
    fit.correlations = at::empty({t}, out);
    if (options.keep_path) {
      fit.cv_path = at::empty({penalties, t}, out);
    }
    if (options.keep_predictions) {
      fit.predictions = at::full({rows(), t}, std::numeric_limits<double>::quiet_NaN(), out);
    }
    if (options.refit) {
      fit.coef = at::empty({features(), t}, out);
      fit.intercept = at::zeros({t}, out);
    }
    const bool factored = fit.solver != Solver::eigenbasis;
    const int64_t solved = factored ? 3 * (y.is_cuda() ? penalties : 1) : 0;  // solutions held at once
    const int64_t size = fit.solver == Solver::kernel ? rows() : features() + 1;
    const int64_t per_target = 8 * (rows() + size * (folds() + 1 + solved));
    const int64_t bytes = factored ? factored_tile_bytes : tile_bytes;
    width_ = std::clamp<int64_t>(bytes / per_target / 64 * 64, 64, factored ? 4096 : 2048);
  }

  void run() {
    if (options_.alpha_per_target) {
      each_tile([&](const Tile& tile) {
        const Scores scores = score(tile);
        const at::Tensor best = at::argmax(scores.chosen_by, 0);
        record(tile, scores, best);
        finish(tile, best);
      });
    } else {  // one penalty for all targets is known only once all are scored
      std::vector<Scores> scored(static_cast<std::size_t>(tiles()));
      each_tile([&](const Tile& tile) { scored[static_cast<std::size_t>(tile.first / width_)] = score(tile); });
      at::Tensor total = at::zeros({fit_.alphas.numel()}, y_.options().dtype(at::kDouble));
      for (const Scores& scores : scored) {
        total.add_(at::sum(scores.chosen_by, 1));
      }
      const at::Tensor best = at::argmax(total);
      each_tile([&](const Tile& tile) {
        record(tile, scored[static_cast<std::size_t>(tile.first / width_)], best.expand({tile.targets}));
        finish(tile, best.expand({tile.targets}));
      });
    }
    const bool increasing = fit_.alphas[-1].item<double>() > fit_.alphas[0].item<double>();
    fit_.at_lower_edge = increasing ? at_first_ : at_last_;
    fit_.at_upper_edge = increasing ? at_last_ : at_first_;
    fit_.best_alphas = fit_.alphas.to(y_.device()).index_select(0, fit_.best).to(design_.rows.scalar_type());
  }

 private:
  int64_t rows() const { return design_.rows.size(0); }
  int64_t features() const { return design_.rows.size(1) - 1; }
  int64_t folds() const { return design_.folds.size(); }
  int64_t tiles() const { return (y_.size(1) + width_ - 1) / width_; }
  const at::Tensor& held_out(int64_t fold) const { return design_.folds.held_out[static_cast<std::size_t>(fold)]; }

  /// Calls use(tile) for all tiles.
  template <class Use>
  void each_tile(const Use& use) {
    side_by_side(tiles(), y_, [&](int64_t number) {
      const int64_t first = number * width_;
      const int64_t targets = std::min(width_, y_.size(1) - first);
      const CenteredRows y = nearly_centered_rows(y_.narrow(1, first, targets).to(design_.rows.scalar_type()),
                                                  /*zero=*/!options_.fit_intercept);
      use(Tile{first, targets, y, fold_moments(y.values, design_.folds), problem_.products(y.values)});
    });
  }

  Scores score(const Tile& tile) const {
    const at::Tensor zero = at::zeros({fit_.alphas.numel(), tile.targets}, y_.options().dtype(at::kDouble));
    const Scores scores{zero, zero.clone()};
    for (int64_t fold = 0; fold < folds(); ++fold) {
      const auto held_rows = static_cast<double>(held_out(fold).numel());
      add_scores(problem_.held_out(fold, tile.products), tile.moments, fold, options_, held_rows,
                 static_cast<double>(rows()) - held_rows, scores);
    }
    scores.chosen_by.div_(folds());
    scores.correlation.div_(folds());
    return scores;
  }

  void record(const Tile& tile, const Scores& scores, const at::Tensor& best) {
    const at::Tensor index = best.unsqueeze(0);
    fit_.best.narrow(0, tile.first, tile.targets).copy_(best);
    fit_.cv_scores.narrow(0, tile.first, tile.targets).copy_(at::gather(scores.chosen_by, 0, index).squeeze(0));
    fit_.correlations.narrow(0, tile.first, tile.targets).copy_(at::gather(scores.correlation, 0, index).squeeze(0));
    if (options_.keep_path) {
      fit_.cv_path.narrow(1, tile.first, tile.targets).copy_(scores.chosen_by);
    }
    const auto [first, last] = count_edges(scores.chosen_by, best);
    at_first_ += first;
    at_last_ += last;
  }

  void finish(const Tile& tile, const at::Tensor& best) const {
    if (options_.refit) {
      const at::Tensor coef = problem_.coefficients(folds(), tile.products, best);
      fit_.coef.narrow(1, tile.first, tile.targets).copy_(coef);
      if (options_.fit_intercept) {
        const at::Tensor y_mean = tile.moments.sums[folds()] / static_cast<double>(rows()) + tile.y.offset;
        fit_.intercept.narrow(0, tile.first, tile.targets)
            .copy_(y_mean - at::mv(coef.t(), problem_.mean(folds()) + x_offset_));
      }
    }
    if (options_.keep_predictions) {
      for (int64_t fold = 0; fold < folds(); ++fold) {
        predict(tile, fold, best);
      }
    }
  }

  void predict(const Tile& tile, int64_t fold, const at::Tensor& best) const {
    const at::Tensor& held = held_out(fold);
    const at::Tensor coef = problem_.coefficients(fold, tile.products, best);
    at::Tensor predicted = at::mm(take_rows(design_.x(), held).to(at::kDouble) - problem_.mean(fold), coef);
    if (options_.fit_intercept) {
      const at::Tensor train = tile.moments.sums[folds()] - tile.moments.sums[fold];
      predicted.add_(train / static_cast<double>(rows() - held.numel()) + tile.y.offset);
    }
    fit_.predictions.narrow(1, tile.first, tile.targets)
        .index_copy_(0, held.to(y_.device()), predicted.to(design_.rows.scalar_type()));
  }

  const Design& design_;
  const at::Tensor& x_offset_;
  const Problem& problem_;
  const at::Tensor& y_;
  const RidgeOptions& options_;
  RidgeFit& fit_;
  int64_t width_ = 0;
  std::atomic<int64_t> at_first_ = 0;  // targets best at the first penalty given
  std::atomic<int64_t> at_last_ = 0;
};

}  // namespace

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
  fit.solver = choose_solver(options, x.size(0), p, t, alphas, count);
  at::Tensor gram;
  if (fit.solver != Solver::kernel) {
    gram = fold_gram(design.rows, folds);
  }
  design.alphas = penalty_grid(options, design, gram);
  design.tiled = true;
  // Without an intercept, means many times the spread leave float32 few digits of what varies.
  design.single = type == at::kFloat && (options.fit_intercept || is_centered(design.x(), gram));
  const std::unique_ptr<Problem> problem = make_problem(fit.solver, design, gram);
  Fitting(design, centered.offset, *problem, y, options, fit).run();
  return fit;
}

}  // namespace brain2music::ridge
