#include "brain2music/ridge/ridge.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_unique.h>
#include <ATen/ops/promote_types.h>
#include <ATen/ops/zeros.h>
#include <c10/core/ScalarType.h>

#include <memory>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/device/full_precision.h"
#include "brain2music/ridge/fit.h"
#include "brain2music/ridge/rows.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {

RidgeModel ridge(const at::Tensor& x, const at::Tensor& y, const at::Tensor& alphas, bool fit_intercept) {
  constexpr auto where = "ridge.ridge";
  const device::FullPrecision full_precision;
  check_matrix(x, "X", where);
  check_targets(y, where);
  require_finite(x, "X", where);
  require(x.size(0) == y.size(0), where, "X and Y must have equal rows; got ", x.sizes(), " and ", y.sizes());
  require(alphas.dim() == 1 && alphas.size(0) == y.size(1), where, "alphas must hold a penalty for each target; got ",
          alphas.sizes(), " for Y of shape ", y.sizes());
  const auto [grid, best] = at::_unique(alphas.to(at::kDouble).cpu(), /*sorted=*/true, /*return_inverse=*/true);
  RidgeOptions options;
  options.alphas.assign(grid.const_data_ptr<double>(), grid.const_data_ptr<double>() + grid.numel());
  check_options(options, where);

  const at::ScalarType type = at::promote_types(working_type(x.scalar_type()), working_type(y.scalar_type()));
  Design design = make_design(x, Folds{x.size(0), {}}, {}, fit_intercept, type, x.device());
  design.alphas = options.alphas;
  design.targets = y.size(1);
  const std::unique_ptr<Problem> problem =
      x.size(1) > x.size(0)
          ? kernel_problem(design)
          : cholesky_problem(design, std::make_shared<const FoldGrams>(fold_gram(design.rows->in(type), design.folds),
                                                                       design.folds, design.intercept));
  const CenteredRows centered = centered_rows(y.to(type), /*ones=*/false, /*zero=*/!fit_intercept);
  const Tile tile(design, 0, centered, fold_moments(centered.values, design.folds));
  const at::Tensor coef = problem->coefficients(0, tile, best.to(y.device()));
  const at::Tensor intercept = fit_intercept ? tile.training_mean(0) + tile.offset() + problem->shift(coef)
                                             : at::zeros({y.size(1)}, coef.options());
  return {coef.to(type), intercept.to(type)};
}

}  // namespace brain2music::ridge
