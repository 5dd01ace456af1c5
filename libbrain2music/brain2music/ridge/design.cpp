#include "brain2music/ridge/design.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addr.h>
#include <ATen/ops/all.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/sum.h>

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/ridge/training_rows.h"

namespace brain2music::ridge {

TypedRows::TypedRows(at::Tensor rows) : rows_(std::move(rows)) {}

at::Tensor TypedRows::in(at::ScalarType type) const {
  if (rows_.scalar_type() == type) {
    return rows_;
  }
  const std::scoped_lock lock(mutex_);
  if (!wide_.defined()) {
    wide_ = rows_.to(type);
  }
  return wide_;
}

const PackedLeft& TypedRows::packed() const {
  const std::scoped_lock lock(mutex_);
  return packed_ ? *packed_ : packed_.emplace(rows_.t());
}

double Design::train_weight(int64_t slot) const {
  if (slot == fold_count()) {
    return all_weight();
  }
  return folds.has_gap(slot) ? weights[static_cast<std::size_t>(training_slot(folds, slot))]
                             : all_weight() - held_weight(slot);
}

at::Tensor Design::held_rows(int64_t fold, const at::Tensor& mean) const {
  const at::Tensor held = take_rows(rows->in(type), held_out(fold)).to(at::kDouble);
  const at::Tensor centered = at::addr(held.narrow(1, 0, features), held.select(1, features), mean, 1, -1);
  return scales.defined() ? centered * scales : centered;
}

at::Tensor Design::scaled(const at::Tensor& of_columns) const {
  if (!scales.defined()) {
    return of_columns;
  }
  return of_columns * (of_columns.dim() == 1 ? scales : scales.unsqueeze(1));
}

Design make_design(const at::Tensor& x, const Folds& folds, const at::Tensor& roots, bool intercept,
                   at::ScalarType type, const at::Device& device) {
  Design design;
  design.folds = folds;
  design.features = x.size(1);
  design.type = type;
  design.device = device;
  design.intercept = intercept;
  design.roots = roots;
  design.x = x.to(device);
  CenteredRows centered = centered_rows(design.x.to(type), /*ones=*/true, /*zero=*/!intercept);
  design.offset = centered.offset;
  if (roots.defined()) {
    centered.values.mul_(roots.to(type).unsqueeze(1));
  }
  design.rows = std::make_shared<const TypedRows>(centered.values);
  design.weights = fold_weights(folds, roots);
  return design;
}

std::vector<double> fold_weights(const Folds& folds, const at::Tensor& roots) {
  const bool weighted = roots.defined() && has_values(roots);
  std::vector<double> weights;
  weights.reserve(static_cast<std::size_t>(count_slots(folds)));
  const auto add = [&](const at::Tensor& rows) {
    weights.push_back(weighted ? at::sum(take_rows(roots, rows).square()).item<double>()
                               : static_cast<double>(rows.numel()));
  };
  for (const at::Tensor& rows : folds.held_out) {
    add(rows);
  }
  weights.push_back(weighted ? at::sum(roots.square()).item<double>() : static_cast<double>(folds.rows));
  for (const at::Tensor& rows : folds.trained_on) {
    if (rows.defined()) {
      add(rows);
    }
  }
  return weights;
}

at::Tensor checked_roots(const at::Tensor& weights, const Folds& folds, int64_t least, const at::Device& device,
                         std::string_view where) {
  require(weights.dim() == 1 && weights.size(0) == folds.rows, where,
          "sample_weight must hold a number for each row; got shape ", weights.sizes(), " for ", folds.rows, " rows");
  const at::Tensor wide = weights.to(device, at::kDouble);
  if (has_values(wide)) {
    require(at::all(at::logical_and(at::isfinite(wide), wide >= 0)).item<bool>(), where,
            "sample_weight must be finite and not negative; got ", wide.min().item<double>(), " to ",
            wide.max().item<double>());
    const auto positive = [&](const at::Tensor& some) { return at::sum(some > 0).item<int64_t>(); };
    const int64_t all = positive(wide);
    for (int64_t fold = 0; fold < folds.size(); ++fold) {
      const int64_t held = positive(take_rows(wide, folds.held_out[static_cast<std::size_t>(fold)]));
      const int64_t train = folds.has_gap(fold) ? positive(take_rows(wide, training_rows(folds, fold))) : all - held;
      require(held >= least && train >= least, where, "every fold must hold out and train on ", least,
              " rows or more with a sample_weight above zero; got ", held, " and ", train, " in fold ", fold);
    }
  }
  return at::sqrt(wide);
}

}  // namespace brain2music::ridge
