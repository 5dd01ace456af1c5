#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>

#include <optional>

#include "brain2music/export.h"

namespace brain2music::kernels {

/// torch.nn.functional.rms_norm: rows over the root of their mean square. On a CPU in float32 it is one pass in place
/// of LibTorch's ten operations; everything else is LibTorch's.
/// @param x                (..., d)
/// @param normalized_shape (d)
/// @param weight           (d,), or none
/// @param eps              is added to the mean square; the type's rounding when it is not given.
/// @return as x
B2M_API at::Tensor rms_norm(const at::Tensor& x, at::IntArrayRef normalized_shape,
                            const std::optional<at::Tensor>& weight = std::nullopt,
                            std::optional<double> eps = std::nullopt);

}  // namespace brain2music::kernels
