#pragma once

#include <ATen/core/Tensor.h>

namespace brain2music::ridge {

/// Adds x'x, x (rows, columns) float32 or float64, to `sum` (columns, columns) float64 on a CPU, in float64 throughout;
/// each product is taken once, though it stands there twice.
void add_packed_gram(const at::Tensor& x, const at::Tensor& sum);

}  // namespace brain2music::ridge
