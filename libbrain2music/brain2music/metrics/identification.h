#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "brain2music/export.h"

namespace brain2music::metrics {

/// The identification accuracy, of all items and of each.
struct Identification {
  at::Tensor mean;      ///< scalar, float64: the mean of `per_item`
  at::Tensor per_item;  ///< (n,), float64: share of the distractors that an item's own target beats
};

/// How often a prediction correlates better with its own target than with another (Brain2Music, 2023, section 4.1):
/// with C[i, j] the Pearson correlation of row i of `predicted` and row j of `target`, the mean over j != i of
/// [C[i, i] > C[i, j]]. Ties (within 1e-12, rounding) count one half. Chance is 0.5.
///
/// @param predicted (n, d), any real type and strides, on CPU or CUDA.
/// @param target    of the shape of `predicted`, on its device.
/// @param groups    (n,) int64 on the same device: items of one group are no distractors of each other, as windows of
///                  one clip. None: each item is alone.
/// @return mean and per item, on the device of `predicted`; needs about 100 MiB beside the input, whatever n.
/// @throws std::invalid_argument on other shapes, NaN or Inf, a row without variance (named), or an item without
///         distractors.
B2M_API Identification identification_accuracy(const at::Tensor& predicted, const at::Tensor& target,
                                               const std::optional<at::Tensor>& groups = std::nullopt);

/// The accuracy that each prediction would have if each target were its own: [i, k] is the share of the distractors of
/// k that target k beats in the eyes of prediction i. The diagonal is identification_accuracy(); the mean over
/// [permutation(k), k] is its value under a permutation, at the cost of looking up.
///
/// @param predicted (n, d), any real type and strides, on CPU or CUDA.
/// @param target    (m, d), on the device of `predicted`.
/// @param windows   so many successive rows of `target` are one group, and no distractors of each other.
/// @return (n, m), float64, on the device of `predicted`.
/// @throws std::invalid_argument as identification_accuracy() does, and unless `windows` divides m.
B2M_API at::Tensor identification_scores(const at::Tensor& predicted, const at::Tensor& target, int64_t windows = 1);

}  // namespace brain2music::metrics
