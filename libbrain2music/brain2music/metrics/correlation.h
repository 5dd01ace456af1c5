#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "brain2music/export.h"

namespace brain2music::metrics {

/// Pearson correlation of columns or rows, pair by pair: scipy.stats.pearsonr(predicted, target, axis=dim).
///
/// @param predicted (items, dimensions), any real type and strides, on CPU or CUDA.
/// @param target    of the shape of `predicted`, on its device.
/// @param dim       0: each dimension over the items; 1: each item over its dimensions.
/// @return (dimensions,) or (items,), float64, on the device of `predicted`.
/// @throws std::invalid_argument on other shapes, fewer than two values to correlate, NaN or Inf, or a line without
///         variance, named.
B2M_API at::Tensor pearson_correlation(const at::Tensor& predicted, const at::Tensor& target, int64_t dim);

/// Pearson correlation of every row of one matrix with every row of another: C of the identification accuracy
/// (Brain2Music, 2023, section 4.1).
///
/// @param predicted (n, d), any real type and strides, on CPU or CUDA.
/// @param target    (m, d), on the device of `predicted`.
/// @return (n, m), float64, on the device of `predicted`.
/// @throws std::invalid_argument as pearson_correlation() does.
B2M_API at::Tensor correlation_matrix(const at::Tensor& predicted, const at::Tensor& target);

}  // namespace brain2music::metrics
