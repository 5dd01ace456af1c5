#include "brain2music/ridge/ridge_cv.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/device/full_precision.h"
#include "brain2music/ridge/choice.h"
#include "brain2music/ridge/fit.h"
#include "brain2music/ridge/plan.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {

RidgeFit ridge_cv(const at::Tensor& x, const at::Tensor& y, const Folds& folds, const RidgeOptions& options) {
  constexpr auto where = "ridge.RidgeCV";
  const device::FullPrecision full_precision;
  check_options(options, where);
  check_targets(y, where);
  return fit_problem(x, y, checked_folds(folds, y.size(0), where), options, where);
}

RidgeFit ridge_cv(const FoldStatistics& statistics, const RidgeOptions& options) {
  constexpr auto where = "ridge.RidgeCV";
  const device::FullPrecision full_precision;
  check_options(options, where);
  require(!options.keep_predictions && options.solver != Solver::kernel && !options.sample_weight.defined(), where,
          "statistics give no held-out predictions, no solver 'kernel' and no weights but their own; got one of these");
  const int64_t count = statistics.folds();
  require(count >= 2, where, "there must be two folds or more; got ", count);
  for (const at::Tensor& sums : {statistics.gram, statistics.cross, statistics.y_squares}) {
    require(!has_values(sums) || at::isfinite(sums).all().item<bool>(), where, "statistics must be finite; got shape ",
            sums.sizes(), " with NaN or infinity");
  }
  // About 0 where there is no intercept: the provisional means are part of the rows then.
  const FoldStatistics about = options.fit_intercept ? statistics
                                                     : statistics.about(at::zeros_like(statistics.x_offset),
                                                                        at::zeros_like(statistics.y_offset));
  Design design;
  design.features = about.features();
  design.targets = about.targets();
  design.device = options.device.value_or(about.gram.device());
  design.offset = about.x_offset.to(design.device);
  design.intercept = options.fit_intercept;
  design.folds = {0, std::vector<at::Tensor>(static_cast<std::size_t>(count), at::empty({0}, at::kLong))};
  const at::Tensor weights = about.gram.select(1, design.features).select(1, design.features).cpu();
  for (int64_t slot = 0; slot <= count; ++slot) {
    design.weights.push_back(has_values(weights) ? weights[slot].item<double>() : 1.0);
  }
  for (int64_t fold = 0; fold < count && has_values(weights); ++fold) {
    require(design.held_weight(fold) > 0 && design.held_weight(fold) < design.all_weight(), where,
            "every fold must hold out rows and leave rows to train on; got a weight of ", design.held_weight(fold),
            " of ", design.all_weight(), " in fold ", fold);
  }
  RidgeFit fit;
  const auto rows = std::max(static_cast<int64_t>(design.all_weight()), design.features);  // no kernel without rows
  fit.solver = choose_solver(options, rows, design.features, design.targets, count, design.device);
  const at::Tensor gram = about.gram.to(design.device);
  design.alphas = penalty_grid(options, design, gram);
  design.tiled = true;
  design.streamed = about.gram.device() != design.device;
  const int64_t width = tile_width(fit.solver, design, options, 0, /*draws=*/1, where);
  const std::unique_ptr<Problem> problem =
      make_problem(fit.solver, design, std::make_shared<const FoldGrams>(gram, design.folds, design.intercept));
  fit_targets(design, *problem, Targets(design, about), options, design.features, 0, width, about.cross.options(), fit);
  return fit;
}

}  // namespace brain2music::ridge
