#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>

#include <cstdint>

#include "brain2music/export.h"

namespace brain2music::metrics {

/// Top-n class agreement (Brain2Music, 2023, section 4.1): the share of the `n` most likely classes of a group, by a
/// tagger's judgement of the original, that are also among the `n` most likely for the reconstruction.
///
/// @param original      (items, classes) probabilities, or any scores that rise with them; any real type, on CPU or
/// CUDA.
/// @param reconstructed of the shape of `original`, on its device.
/// @param classes       columns that form the group, each once; of equal probabilities the one listed first wins.
/// @param n             how many; at most the size of the group.
/// @return (items,), float64, on the device of `original`: 0 to 1 in steps of 1 / n.
/// @throws std::invalid_argument on other shapes, NaN or Inf, or classes that do not exist or are listed twice.
B2M_API at::Tensor class_agreement(const at::Tensor& original, const at::Tensor& reconstructed, at::IntArrayRef classes,
                                   int64_t n);

}  // namespace brain2music::metrics
