#include "brain2music/ridge/kernel_ridge_cv.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addr.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/promote_types.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/trace.h>

#include <cstdint>
#include <memory>
#include <string_view>

#include "brain2music/check.h"
#include "brain2music/device/full_precision.h"
#include "brain2music/ridge/choice.h"
#include "brain2music/ridge/fit.h"
#include "brain2music/ridge/plan.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {
namespace {

// A kernel's two halves may differ by what float32 rounds off.
constexpr double symmetric_share = 1e-5;

void check_kernel(const at::Tensor& kernel, const at::Tensor& y, std::string_view where) {
  check_matrix(kernel, "the kernel", where);
  require(kernel.size(0) == kernel.size(1) && kernel.size(0) == y.size(0), where,
          "the kernel must be (rows, rows) for the rows of Y; got ", kernel.sizes(), " and ", y.sizes());
  require_finite(kernel, "the kernel", where);
  if (has_values(kernel)) {
    const auto largest = kernel.abs().max().item<double>();
    const auto apart = (kernel - kernel.t()).abs().max().item<double>();
    require(apart <= symmetric_share * largest, where, "the kernel must be symmetric; got values ", apart,
            " apart, the largest being ", largest);
  }
}

/// Of the kernel of weighted rows, about their mean where there is an intercept: the mean of its eigenvalues, each
/// weighed by itself, so that neither zeros nor repeated rows count.
double mean_eigenvalue(const at::Tensor& kernel, const Design& design) {
  const at::Tensor roots = design.roots.defined() ? design.roots : at::ones({kernel.size(0)}, kernel.options());
  at::Tensor weighted = kernel * roots * roots.unsqueeze(1);
  if (design.intercept) {
    const at::Tensor unit = roots / at::sqrt(at::sum(roots.square()));
    weighted = at::addr(weighted, at::mv(weighted, unit), unit, 1, -1);
    weighted = at::addr(weighted, unit, at::mv(weighted.t(), unit), 1, -1);
  }
  const auto trace = at::trace(weighted).item<double>();
  return trace > 0 ? at::sum(weighted.square()).item<double>() / trace : 0;
}

}  // namespace

RidgeFit kernel_ridge_cv(const at::Tensor& kernel, const at::Tensor& y, const Folds& folds,
                         const RidgeOptions& options) {
  constexpr auto where = "ridge.KernelRidgeCV";
  const device::FullPrecision full_precision;
  check_options(options, where);
  check_targets(y, where);
  check_kernel(kernel, y, where);
  const int64_t n = y.size(0);
  Design design;
  design.folds = checked_folds(folds, n, where);
  design.type = at::promote_types(working_type(kernel.scalar_type()), working_type(y.scalar_type()));
  design.device = options.device.value_or(kernel.device());
  design.intercept = options.fit_intercept;
  design.single = design.type == at::kFloat && options.fit_intercept;
  design.targets = y.size(1);
  design.features = n;
  design.streamed = y.device() != design.device;
  if (options.sample_weight.defined()) {
    design.roots = checked_roots(options.sample_weight, design.folds, rows_of_a_fold, design.device, where);
  }
  design.weights = fold_weights(design.folds, design.roots);
  const at::Tensor wide = kernel.to(design.device, at::kDouble);
  design.alphas = options.alphas;
  if (design.alphas.empty()) {
    design.alphas = relative_alphas(has_values(wide) ? mean_eigenvalue(wide, design) : 1);
  }
  design.between = between(options);
  RidgeFit fit;
  fit.solver = Solver::kernel;
  const int64_t width = tile_width(fit.solver, design, options, n, /*draws=*/1, where);
  const std::unique_ptr<Problem> problem = kernel_problem(design, wide);
  fit_targets(design, *problem, Targets(design, y), options, n, n, width, y.options().dtype(design.type), fit);
  return fit;
}

}  // namespace brain2music::ridge
