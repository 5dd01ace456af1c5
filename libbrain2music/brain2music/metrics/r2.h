#pragma once

#include <ATen/core/Tensor.h>

#include "brain2music/export.h"

namespace brain2music::metrics {

/// Coefficient of determination of each dimension over the items:
/// sklearn.metrics.r2_score(target, predicted, multioutput="raw_values").
///
/// @param predicted (items, dimensions), any real type and strides, on CPU or CUDA.
/// @param target    of the shape of `predicted`, on its device.
/// @return (dimensions,), float64, on the device of `predicted`; at most 1, 0 for the mean of the target.
/// @throws std::invalid_argument on other shapes, fewer than two items, NaN or Inf, or a target that does not vary.
B2M_API at::Tensor r2_score(const at::Tensor& predicted, const at::Tensor& target);

}  // namespace brain2music::metrics
