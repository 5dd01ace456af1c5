#include "brain2music/ridge/training_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>

#include <cstddef>
#include <vector>

namespace brain2music::ridge {

int64_t count_slots(const Folds& folds) {
  int64_t slots = folds.size() + 1;
  for (const at::Tensor& rows : folds.trained_on) {
    slots += rows.defined() ? 1 : 0;
  }
  return slots;
}

int64_t training_slot(const Folds& folds, int64_t fold) {
  int64_t slot = folds.size() + 1;
  for (int64_t before = 0; before < fold; ++before) {
    slot += folds.has_gap(before) ? 1 : 0;
  }
  return slot;
}

at::Tensor training_sums(const at::Tensor& sums, const Folds& folds, int64_t slot) {
  const int64_t all = folds.size();
  if (slot == all) {
    return sums[all];
  }
  return folds.has_gap(slot) ? sums[training_slot(folds, slot)] : sums[all] - sums[slot];
}

at::Tensor training_rows(const Folds& folds, int64_t slot) {
  if (slot == folds.size()) {
    return at::arange(folds.rows, at::kLong);
  }
  const auto fold = static_cast<std::size_t>(slot);
  if (folds.has_gap(slot)) {
    return folds.trained_on[fold];
  }
  return at::nonzero(at::ones({folds.rows}, at::kBool).index_fill_(0, folds.held_out[fold], false)).squeeze(1);
}

bool is_partition(const Folds& folds) {
  int64_t held_out = 0;
  std::vector<bool> seen(static_cast<std::size_t>(folds.rows));
  for (const at::Tensor& rows : folds.held_out) {
    const auto* index = rows.const_data_ptr<int64_t>();
    for (int64_t i = 0; i < rows.numel(); ++i) {
      held_out += seen[static_cast<std::size_t>(index[i])] ? 0 : 1;
      if (seen[static_cast<std::size_t>(index[i])]) {
        return false;
      }
      seen[static_cast<std::size_t>(index[i])] = true;
    }
  }
  return held_out == folds.rows;
}

at::Tensor gap_rows(const Folds& folds, int64_t fold) {
  at::Tensor left_out = at::ones({folds.rows}, at::kBool);
  left_out.index_fill_(0, folds.held_out[static_cast<std::size_t>(fold)], false);
  left_out.index_fill_(0, training_rows(folds, fold), false);
  return at::nonzero(left_out).squeeze(1);
}

}  // namespace brain2music::ridge
