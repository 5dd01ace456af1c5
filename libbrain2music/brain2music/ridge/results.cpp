#include "brain2music/ridge/results.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "brain2music/ridge/rows.h"

namespace brain2music::ridge {
namespace {

// A penalty at an edge of the grid is worth a word only if it is better than its neighbour by this.
constexpr double edge_gain = 1e-3;

/// Targets best at the first and at the last penalty, by more than rounding.
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

}  // namespace

Results::Results(RidgeFit& fit, const Design& design, const RidgeOptions& options, int64_t outputs, int64_t rows,
                 const at::TensorOptions& out)
    : fit_(fit), design_(design), options_(options) {
  const int64_t t = design.targets;
  fit.alphas = at::tensor(design.alphas, at::kDouble);
  fit.best = at::empty({t}, out.dtype(at::kLong));
  fit.cv_scores = at::empty({t}, out);
  fit.correlations = at::empty({t}, out);
  if (options.keep_path) {
    fit.cv_path = at::empty({static_cast<int64_t>(design.alphas.size()), t}, out);
  }
  if (options.keep_predictions) {
    fit.predictions = at::full({rows, t}, std::numeric_limits<double>::quiet_NaN(), out);
  }
  if (options.refit) {
    fit.coef = at::empty({outputs, t}, out);
    fit.intercept = at::zeros({t}, out);
  }
}

void Results::refit(const Problem& problem, const Tile& tile, const at::Tensor& best) const {
  if (options_.refit) {
    const at::Tensor coef = problem.coefficients(design_.fold_count(), tile, best);
    put(fit_.coef, tile.first(), coef);
    if (design_.intercept) {
      put(fit_.intercept, tile.first(), tile.training_mean(design_.fold_count()) + tile.offset() + problem.shift(coef));
    }
  }
  if (options_.keep_predictions) {
    for (int64_t fold = 0; fold < design_.fold_count(); ++fold) {
      at::Tensor predicted = problem.predictions(fold, tile, best);
      if (design_.intercept) {
        predicted.add_(tile.training_mean(fold) + tile.offset());
      }
      fit_.predictions.narrow(1, tile.first(), tile.targets())
          .index_copy_(0, design_.held_out(fold).to(fit_.predictions.device()),
                       predicted.to(fit_.predictions.options()));
    }
  }
}

void Results::record(int64_t first, const at::Tensor& chosen_by, const at::Tensor& correlation,
                     const at::Tensor& best) {
  const at::Tensor index = best.unsqueeze(0);
  put(fit_.best, first, best);
  put(fit_.cv_scores, first, at::gather(chosen_by, 0, index).squeeze(0));
  put(fit_.correlations, first, at::gather(correlation, 0, index).squeeze(0));
  if (options_.keep_path) {
    put(fit_.cv_path, first, chosen_by);
  }
  const auto [at_first, at_last] = count_edges(chosen_by, best);
  at_first_ += at_first;
  at_last_ += at_last;
}

void Results::tell(int64_t targets) {
  if (options_.on_progress) {
    options_.on_progress(done_ += targets, design_.targets);
  }
}

void Results::finish() {
  const bool increasing = design_.alphas.back() > design_.alphas.front();
  fit_.at_lower_edge = increasing ? at_first_ : at_last_;
  fit_.at_upper_edge = increasing ? at_last_ : at_first_;
  fit_.best_alphas = fit_.alphas.to(fit_.best.device()).index_select(0, fit_.best).to(fit_.cv_scores.scalar_type());
}

}  // namespace brain2music::ridge
