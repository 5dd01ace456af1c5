#include "brain2music/ridge/fit.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/all.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/promote_types.h>
#include <ATen/ops/std_mean.h>
#include <ATen/ops/sum.h>
#include <c10/core/ScalarType.h>

#include <cmath>
#include <functional>
#include <memory>
#include <optional>

#include "brain2music/check.h"
#include "brain2music/ridge/choice.h"
#include "brain2music/ridge/plan.h"
#include "brain2music/ridge/results.h"
#include "brain2music/ridge/scoring.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {

void check_options(const RidgeOptions& options, std::string_view where) {
  for (const double alpha : options.alphas) {
    require(std::isfinite(alpha) && alpha > 0, where, "alphas must be positive and finite; got ", alpha);
  }
  require(options.memory_limit >= 0, where, "memory_limit must not be negative; got ", options.memory_limit);
}

void check_targets(const at::Tensor& y, std::string_view where) {
  check_matrix(y, "Y", where);
  require_finite(y, "Y", where);
}

std::function<void()> between(const RidgeOptions& options) {
  if (!options.on_progress) {
    return {};
  }
  return [tell = options.on_progress] { tell(0, 0); };
}

Design checked_design(const at::Tensor& x, const at::Tensor& y, const Folds& folds, const RidgeOptions& options,
                      std::string_view where) {
  check_matrix(x, "X", where);
  require(x.size(0) == y.size(0), where, "X and Y must have equal rows; got ", x.sizes(), " and ", y.sizes());
  require(x.device() == y.device() || options.device, where, "X and Y must lie on one device; got ", x.device().str(),
          " and ", y.device().str());
  require_finite(x, "X", where);
  const at::ScalarType type = at::promote_types(working_type(x.scalar_type()), working_type(y.scalar_type()));
  const at::Device device = options.device.value_or(x.device());
  at::Tensor roots;
  if (options.sample_weight.defined()) {
    roots = checked_roots(options.sample_weight, folds, rows_of_a_fold, device, where);
  }
  Design design = make_design(x, folds, roots, options.fit_intercept, type, device);
  design.between = between(options);
  design.targets = y.size(1);
  design.streamed = y.device() != design.x.device();
  return design;
}

bool is_centered(const Design& design, const at::Tensor& gram) {
  if (!gram.defined()) {
    if (!has_values(design.x)) {
      return true;
    }
    const auto [spread, mean] =
        at::std_mean(design.x.to(design.type), at::IntArrayRef{0}, std::optional<at::Scalar>(0));
    return at::all(mean.abs() <= spread).item<bool>();
  }
  if (!has_values(gram)) {
    return true;
  }
  const at::Tensor all = gram[design.fold_count()];
  const int64_t p = all.size(0) - 1;
  const at::Tensor mean = all[p].narrow(0, 0, p) / all[p][p];
  return at::all(2 * mean.square() <= all.diagonal().narrow(0, 0, p) / all[p][p]).item<bool>();
}

void fit_targets(const Design& design, const Problem& problem, const Targets& targets, const RidgeOptions& options,
                 int64_t outputs, int64_t rows, int64_t width, const at::TensorOptions& out, RidgeFit& fit) {
  Results results(fit, design, options, outputs, rows, out);
  if (options.alpha_per_target) {
    targets.each(width, [&](const Tile& tile) {
      const Scores scores = score(problem, design, tile, options.scoring);
      const at::Tensor best = at::argmax(scores.chosen_by, 0);
      results.refit(problem, tile, best);
      results.record(tile.first(), scores.chosen_by, scores.correlation, best);
      results.tell(tile.targets());
    });
  } else {  // one penalty for all targets is known only once all are scored
    const auto penalties = static_cast<int64_t>(design.alphas.size());
    const at::Tensor chosen_by = at::empty({penalties, design.targets}, out.dtype(at::kDouble));
    const at::Tensor correlation = at::empty({penalties, design.targets}, chosen_by.options());
    targets.each(width, [&](const Tile& tile) {
      const Scores scores = score(problem, design, tile, options.scoring);
      Results::put(chosen_by, tile.first(), scores.chosen_by);
      Results::put(correlation, tile.first(), scores.correlation);
    });
    const at::Tensor one = at::argmax(at::sum(chosen_by, 1));
    targets.each(width, [&](const Tile& tile) {
      const at::Tensor best = one.to(design.device).expand({tile.targets()});
      const auto part = [&](const at::Tensor& all) { return all.narrow(1, tile.first(), tile.targets()); };
      results.refit(problem, tile, best);
      results.record(tile.first(), part(chosen_by), part(correlation), best.to(chosen_by.device()));
      results.tell(tile.targets());
    });
  }
  results.finish();
}

RidgeFit fit_problem(const at::Tensor& x, const at::Tensor& y, const Folds& folds, const RidgeOptions& options,
                     std::string_view where) {
  Design design = checked_design(x, y, folds, options, where);
  RidgeFit fit;
  fit.solver = choose_solver(options, x.size(0), x.size(1), y.size(1), folds.size(), design.device);
  at::Tensor gram;
  if (fit.solver != Solver::kernel) {
    gram = fold_gram(design.rows->in(design.type), folds);
  }
  design.alphas = penalty_grid(options, design, gram);
  design.tiled = true;
  // Without an intercept, means many times the spread leave float32 few digits of what varies.
  design.single = design.type == at::kFloat && (options.fit_intercept || is_centered(design, gram));
  const int64_t width = tile_width(fit.solver, design, options, x.size(0), /*draws=*/1, where);
  const std::unique_ptr<Problem> problem = make_problem(
      fit.solver, design,
      gram.defined() ? std::make_shared<const FoldGrams>(gram, design.folds, options.fit_intercept) : nullptr);
  gram.reset();
  fit_targets(design, *problem, Targets(design, y), options, x.size(1), x.size(0), width,
              y.options().dtype(design.type), fit);
  return fit;
}

}  // namespace brain2music::ridge
