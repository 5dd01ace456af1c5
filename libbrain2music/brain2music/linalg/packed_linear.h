#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "brain2music/export.h"

namespace brain2music::linalg {

/// Products of rows with packed weights: what most of a step of generation is. Every output is a sum in one order,
/// whatever rows are beside it and however many threads there are.
///
/// int8 weights are multiplied with whole numbers of 16 bits: the largest number of a row of x becomes 32767. A row
/// with NaN or Inf then gives NaN alone.
///
/// For GPUs nothing is packed; Meta gives the shape.
/// @param x       (..., features) float32 on a CPU.
/// @param values  as PackedWeights has them.
/// @param scale   as PackedWeights has it; int8 values need one.
/// @param bias    (outputs,) float32, or none.
/// @param outputs how many there are.
/// @return (..., outputs) float32
B2M_API at::Tensor packed_linear(const at::Tensor& x, const at::Tensor& values, const std::optional<at::Tensor>& scale,
                                 const std::optional<at::Tensor>& bias, int64_t outputs);

}  // namespace brain2music::linalg
