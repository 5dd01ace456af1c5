#include "brain2music/ridge/training_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>

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

at::Tensor gap_rows(const Folds& folds, int64_t fold) {
  at::Tensor left_out = at::ones({folds.rows}, at::kBool);
  left_out.index_fill_(0, folds.held_out[static_cast<std::size_t>(fold)], false);
  left_out.index_fill_(0, training_rows(folds, fold), false);
  return at::nonzero(left_out).squeeze(1);
}

}  // namespace brain2music::ridge
