#include "brain2music/ridge/banded_ridge_cv.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/device/full_precision.h"
#include "brain2music/ridge/choice.h"
#include "brain2music/ridge/fit.h"
#include "brain2music/ridge/plan.h"
#include "brain2music/ridge/results.h"
#include "brain2music/ridge/scoring.h"
#include "brain2music/ridge/side_by_side.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {
namespace {

constexpr auto where = "ridge.BandedRidgeCV";

void check_bands(const at::Tensor& x, const at::Tensor& bands, const at::Tensor& gammas) {
  require(bands.dim() == 1 && bands.scalar_type() == at::kLong && x.dim() == 2 && bands.size(0) == x.size(1), where,
          "bands must hold an integer for each column of X; got shape ", bands.sizes(), " of ", bands.scalar_type(),
          " for X of shape ", x.sizes());
  require(gammas.dim() == 2 && gammas.size(0) > 0, where, "gammas must be (draws, bands); got shape ", gammas.sizes());
  if (!has_values(bands) || !has_values(gammas)) {
    return;
  }
  require(bands.min().item<int64_t>() >= 0 && bands.max().item<int64_t>() < gammas.size(1), where,
          "bands must be numbered from 0 to ", gammas.size(1) - 1, ", a column of gammas each; got ",
          bands.min().item<int64_t>(), " to ", bands.max().item<int64_t>());
  require(at::isfinite(gammas).all().item<bool>() && (gammas >= 0).all().item<bool>() &&
              (at::amax(gammas, 1) > 0).all().item<bool>(),
          where, "gammas must be finite and not negative, with a positive one in each draw; got ",
          gammas.min().item<double>(), " to ", gammas.max().item<double>());
}

/// A problem for each draw of gamma, from sums or inner products that are made once.
class Draws {
 public:
  /// @param gram as FoldGrams takes it; undefined where kernels are to be used.
  Draws(const Design& design, const at::Tensor& bands, const at::Tensor& gammas, const at::Tensor& gram)
      : gammas_(gammas.to(design.device, at::kDouble)), bands_(bands.to(design.device)) {
    if (gram.defined()) {
      grams_ = std::make_shared<const FoldGrams>(gram, design.folds, design.intercept);
      all_rows_ = std::make_shared<const FoldGrams>(grams_->of_all_rows());
      return;
    }
    for (int64_t band = 0; band < gammas.size(1); ++band) {
      Design one = design;
      one.scales = (bands_ == band).to(at::kDouble);
      kernels_.push_back(inner_products(one));
    }
  }

  int64_t count() const { return gammas_.size(0); }

  /// @param design of all folds, or of none.
  std::unique_ptr<Problem> problem(Solver solver, Design design, int64_t draw) const {
    design.scales = at::sqrt(gammas_[draw]).index_select(0, bands_);
    if (solver != Solver::kernel) {
      return make_problem(solver, design, design.fold_count() == 0 ? all_rows_ : grams_);
    }
    at::Tensor kernel = at::zeros_like(kernels_.front());
    for (std::size_t band = 0; band < kernels_.size(); ++band) {
      kernel.add_(kernels_[band] * gammas_[draw][static_cast<int64_t>(band)]);
    }
    return kernel_problem(design, kernel);
  }

 private:
  at::Tensor gammas_;  // (draws, bands)
  at::Tensor bands_;   // (p,)
  std::shared_ptr<const FoldGrams> grams_;
  std::shared_ptr<const FoldGrams> all_rows_;
  std::vector<at::Tensor> kernels_;  // (n, n) of each band
};

/// Draw after draw, some at once: the best pair of draw and penalty for each target so far.
class Search {
 public:
  Search(const Design& design, const RidgeOptions& options, const Targets& targets, const at::TensorOptions& out)
      : design_(design), options_(options), targets_(targets) {
    const int64_t t = design.targets;
    const at::TensorOptions wide = at::TensorOptions().dtype(at::kDouble).device(out.device());
    best_score_ = at::full({t}, -std::numeric_limits<double>::infinity(), wide);
    best_draw_ = at::zeros({t}, wide.dtype(at::kLong));
    best_path_ = at::empty({static_cast<int64_t>(design.alphas.size()), t}, wide);
    best_correlation_ = at::empty_like(best_path_);
  }

  void look_at(const std::vector<std::unique_ptr<Problem>>& problems, int64_t first_draw, int64_t width,
               int64_t draws) {
    targets_.each(width, [&](const Tile& tile) {
      const auto part = [&](const at::Tensor& all) { return all.narrow(all.dim() - 1, tile.first(), tile.targets()); };
      for (std::size_t i = 0; i < problems.size(); ++i) {
        const Scores scores = score(*problems[i], design_, tile, options_.scoring);
        const at::Device there = best_score_.device();
        const at::Tensor path = scores.chosen_by.to(there);
        const at::Tensor score = at::amax(path, 0);
        const at::Tensor better = score > part(best_score_);
        const auto take = [&](const at::Tensor& all, const at::Tensor& values) {
          part(all).copy_(at::where(better, values, part(all)));
        };
        take(best_score_, score);
        part(best_draw_).masked_fill_(better, first_draw + static_cast<int64_t>(i));
        take(best_path_, path);
        take(best_correlation_, scores.correlation.to(there));
        if (options_.on_progress) {
          options_.on_progress(done_ += tile.targets(), design_.targets * draws);
        }
      }
    });
  }

  const at::Tensor& draws() const { return best_draw_; }
  const at::Tensor& path() const { return best_path_; }
  const at::Tensor& correlation() const { return best_correlation_; }

 private:
  const Design& design_;
  const RidgeOptions& options_;
  const Targets& targets_;
  at::Tensor best_score_;        // (t,)
  at::Tensor best_draw_;         // (t,)
  at::Tensor best_path_;         // (penalties, t): of the best draw
  at::Tensor best_correlation_;  // (penalties, t)
  std::atomic<int64_t> done_ = 0;
};

/// Coefficients for all targets, draw by draw: always from all rows, so that no fold is made ready.
void refit(const Design& design, Solver solver, const Draws& draws, const at::Tensor& y, int64_t width,
           const at::Tensor& best_draw, BandedFit& fit) {
  Design all = design;
  all.folds = Folds{y.size(0), {}};
  all.weights = {design.all_weight()};
  const Targets targets(all, y);
  side_by_side(draws.count(), y, [&](int64_t draw) {
    const at::Tensor chosen = at::nonzero(best_draw == draw).squeeze(1);
    if (chosen.numel() == 0) {
      return;
    }
    // By Cholesky where the search took eigenbases: there is no use for another one.
    const std::unique_ptr<Problem> problem =
        draws.problem(solver == Solver::kernel ? solver : Solver::cholesky, all, draw);
    for (const at::Tensor& some : chosen.split(width)) {
      const Tile tile = targets.some(some);
      const at::Tensor coef = problem->coefficients(0, tile, fit.best.index_select(0, some).to(design.device));
      fit.coef.index_copy_(1, some, coef.to(fit.coef.options()));
      if (design.intercept) {
        const at::Tensor intercept = tile.training_mean(0) + tile.offset() + problem->shift(coef);
        fit.intercept.index_copy_(0, some, intercept.to(fit.intercept.options()));
      }
    }
  });
}

}  // namespace

BandedFit banded_ridge_cv(const at::Tensor& x, const at::Tensor& bands, const at::Tensor& gammas, const at::Tensor& y,
                          const Folds& folds, const RidgeOptions& options) {
  const device::FullPrecision full_precision;
  check_options(options, where);
  check_targets(y, where);
  check_bands(x, bands, gammas);
  require(options.alpha_per_target && !options.keep_predictions, where,
          "alpha_per_target must be true and keep_predictions false; got ", options.alpha_per_target, " and ",
          options.keep_predictions);
  const Folds checked = checked_folds(folds, y.size(0), where);
  Design design = checked_design(x, y, checked, options, where);
  BandedFit fit;
  fit.solver = choose_solver(options, x.size(0), x.size(1), y.size(1), checked.size(), design.device);
  at::Tensor gram;
  if (fit.solver != Solver::kernel) {
    gram = fold_gram(design.rows->in(design.type), checked);
  }
  design.alphas = penalty_grid(options, design, gram);
  if (options.alphas.empty()) {
    for (double& alpha : design.alphas) {
      alpha /= static_cast<double>(gammas.size(1));
    }
  }
  design.single = design.type == at::kFloat && (options.fit_intercept || is_centered(design, gram));

  const int64_t rows = x.size(0);
  const int64_t at_once = draws_at_once(fit.solver, design, options, rows, gammas.size(0));
  const int64_t width = tile_width(fit.solver, design, options, rows, at_once, where);
  const Draws draws(design, bands, gammas, gram);
  const Targets targets(design, y);
  const at::TensorOptions out = y.options().dtype(design.type);
  Results results(fit, design, options, x.size(1), rows, out);
  Search search(design, options, targets, out);
  for (int64_t first = 0; first < draws.count(); first += at_once) {
    std::vector<std::unique_ptr<Problem>> problems(static_cast<std::size_t>(std::min(at_once, draws.count() - first)));
    side_by_side(static_cast<int64_t>(problems.size()), y, [&](int64_t i) {
      problems[static_cast<std::size_t>(i)] = draws.problem(fit.solver, design, first + i);
    });
    search.look_at(problems, first, width, draws.count());
  }
  fit.best_draw = search.draws();
  results.record(0, search.path(), search.correlation(), at::argmax(search.path(), 0));
  if (options.refit) {
    refit(design, fit.solver, draws, y, width, fit.best_draw, fit);
  }
  results.finish();
  return fit;
}

}  // namespace brain2music::ridge
