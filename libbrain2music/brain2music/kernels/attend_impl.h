#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace brain2music::kernels {

/// Attention of one query to keys and values of one type, float32, whose last dimension is contiguous.
/// @param mask (B, heads, 1, S) float32, or undefined
at::Tensor attend_once_cpu(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                           const at::Tensor& mask, float scale);

}  // namespace brain2music::kernels
