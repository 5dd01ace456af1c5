#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "brain2music/ridge/folds.h"

/// This file knows the rows that a fold trains on, and where sums over them are.
///
/// Sums are kept in slots: one of the rows that each fold holds out, then one of all rows, then one of the rows that
/// each fold with a gap trains on. Without a gap, sums over the training rows are those of all rows less those of the
/// fold. A slot number below the number of folds stands for a fold, the number of folds itself for all rows.
namespace brain2music::ridge {

/// How many slots there are.
int64_t count_slots(const Folds& folds);

/// Slot of the rows that a fold with a gap trains on.
int64_t training_slot(const Folds& folds, int64_t fold);

/// (...): sums over the rows that `slot` trains on, of `sums` (slots, ...).
at::Tensor training_sums(const at::Tensor& sums, const Folds& folds, int64_t slot);

/// Rows that `slot` trains on: int64 indices on the CPU, increasing.
at::Tensor training_rows(const Folds& folds, int64_t slot);

/// Whether each row is held out once: then sums over all rows are those over the folds, added up.
bool is_partition(const Folds& folds);

/// Rows that a fold neither trains on nor holds out: int64 indices on the CPU, increasing.
at::Tensor gap_rows(const Folds& folds, int64_t fold);

}  // namespace brain2music::ridge
