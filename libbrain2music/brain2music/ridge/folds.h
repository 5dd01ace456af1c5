#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "brain2music/export.h"

namespace brain2music::ridge {

/// Cross-validation: the rows held out in each fold. A fold is trained on all rows that it does not hold out.
struct Folds {
  int64_t rows = 0;                  ///< rows of X and Y
  std::vector<at::Tensor> held_out;  ///< of each fold: int64 indices on the CPU, increasing

  /// How many folds there are.
  int64_t size() const { return static_cast<int64_t>(held_out.size()); }
};

/// Consecutive blocks of rows, the first ones a row longer where it does not come out even: scikit-learn's
/// KFold(folds).
/// @param rows  how many rows there are.
/// @param folds how many folds; at least 2.
/// @return `folds` folds that hold out each row once.
/// @throws std::invalid_argument unless each fold gets a row.
B2M_API Folds k_folds(int64_t rows, int64_t folds);

/// Whole groups (runs, clips) held out together. As in scikit-learn's GroupKFold(folds), the largest groups are dealt
/// first, each to the lightest fold; of groups of one size the one that appears first comes first.
/// @param groups group of each row, any integers.
/// @param folds  how many folds; at least 2, at most the number of groups.
/// @return `folds` folds that hold out each row once.
/// @throws std::invalid_argument where there are fewer groups than folds.
B2M_API Folds group_folds(at::IntArrayRef groups, int64_t folds);

/// Throws std::invalid_argument, signed `where`, unless there are two folds or more of at least two rows each, with
/// rows that exist and are named once, and two rows or more left to train on. Indices come back sorted.
/// @param folds what to look at.
/// @param rows  rows of X and Y.
/// @param where who asks.
/// @return the same folds, sorted.
B2M_API Folds checked_folds(const Folds& folds, int64_t rows, std::string_view where);

/// The same, also with folds that hold out few rows or none: what statistics that are added up later are made of.
/// @param folds what to look at.
/// @param rows  rows of X and Y.
/// @param where who asks.
/// @return the same folds, sorted.
B2M_API Folds sorted_folds(const Folds& folds, int64_t rows, std::string_view where);

/// Those rows of `x` (rows, ...): a view where they lie side by side, else a copy.
/// @param x    (rows, ...).
/// @param rows int64 indices on the CPU, increasing.
/// @return (rows, ...) on the device of `x`.
B2M_API at::Tensor take_rows(const at::Tensor& x, const at::Tensor& rows);

}  // namespace brain2music::ridge
