#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "brain2music/export.h"

namespace brain2music::kernels {

/// torch.nn.functional.scaled_dot_product_attention, of one query on a CPU in float32 without a parallel loop of
/// OpenMP: a step of generation attends once a layer. Keys that the mask hides (-Inf, or false) are not read, so that a
/// cache costs what is in it, not what it holds room for. Where all keys are hidden the result is 0. Everything else is
/// LibTorch's.
///
/// @param query (B, heads, T, D)
/// @param key   (B, key heads, S, D)
/// @param value (B, key heads, S, D)
/// @param mask  broadcastable to (B, heads, T, S), added to the scores, or bool; none: every key is seen.
/// @param scale of the scores; 1 / sqrt(D) when it is not given.
/// @param gqa   whether several heads of queries share a head of keys.
/// @return (B, heads, T, D)
B2M_API at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          const std::optional<at::Tensor>& mask = std::nullopt,
                          std::optional<double> scale = std::nullopt, bool gqa = false);

}  // namespace brain2music::kernels
