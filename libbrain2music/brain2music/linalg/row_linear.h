#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "brain2music/export.h"

namespace brain2music::linalg {

/// Computes x weight^T + bias, as at::linear does. On a CPU in float32 each element sums its products in one order,
/// whatever the number of rows, of outputs and of threads: a row's result does not depend on the rows beside it. Every
/// other type and device is left to at::linear.
///
/// @param x      (..., features), any strides.
/// @param weight (outputs, features), of the type and on the device of `x`.
/// @param bias   (outputs,), or none.
/// @return (..., outputs), contiguous.
/// @throws c10::Error where at::linear does, and with its words.
B2M_API at::Tensor row_linear(const at::Tensor& x, const at::Tensor& weight,
                              const std::optional<at::Tensor>& bias = {});

}  // namespace brain2music::linalg
