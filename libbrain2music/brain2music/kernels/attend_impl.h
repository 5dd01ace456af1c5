#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace brain2music::kernels {

/// Attention of one query; all is float32 on a CPU, and the last dimension contiguous.
/// @param query (B, heads, 1, D)
/// @param key   (B, key heads, S, D)
/// @param value (B, key heads, S, D)
/// @param mask  (B, heads, 1, S), or undefined
/// @param scale of the scores
/// @return (B, heads, 1, D)
at::Tensor attend_once_cpu(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                           const at::Tensor& mask, float scale);

}  // namespace brain2music::kernels
