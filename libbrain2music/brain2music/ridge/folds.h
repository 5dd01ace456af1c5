#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "brain2music/export.h"

namespace brain2music::ridge {

/// Cross-validation: the rows that each fold holds out, and those that it is trained on. By default a fold is trained
/// on all rows that it does not hold out; a fold that is trained on fewer has a gap.
struct Folds {
  int64_t rows = 0;                  ///< rows of X and Y
  std::vector<at::Tensor> held_out;  ///< of each fold: int64 indices on the CPU, increasing

  /// Each fold has int64 indices on the CPU, increasing, or an undefined tensor: all rows that are not held out.
  /// Empty: no fold has a gap.
  // NOLINTNEXTLINE(readability-redundant-member-init): without it, compilers warn of Folds{rows, held_out}
  std::vector<at::Tensor> trained_on = {};

  /// How many folds there are.
  int64_t size() const { return static_cast<int64_t>(held_out.size()); }

  /// Whether `trained_on` names the rows of this fold.
  /// @param fold its number, from 0.
  bool has_gap(int64_t fold) const {
    return !trained_on.empty() && trained_on[static_cast<std::size_t>(fold)].defined();
  }
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

/// Throws std::invalid_argument, signed `where`, unless there is a fold, each fold holds out two rows or more and
/// trains on two others or more, and all rows exist and are named once. Indices come back sorted; `trained_on` comes
/// back undefined for folds that name all rows that they do not hold out.
/// @param folds what to look at.
/// @param rows  rows of X and Y.
/// @param where who asks.
/// @return the same folds, sorted.
B2M_API Folds checked_folds(const Folds& folds, int64_t rows, std::string_view where);

/// Does what checked_folds does, but takes folds that hold out few rows or none: statistics of parts of a study, which
/// are added up later, are made of such folds.
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
