#pragma once

#include <ATen/core/Tensor.h>

/// What checks on the values of a tensor ask first.
namespace brain2music::kernels {

/// Integers or floating point; neither bool nor complex.
inline bool is_real_number(at::ScalarType type) {
  return at::isFloatingType(type) || at::isIntegralType(type, /*includeBool=*/false);
}

/// Meta and fake tensors have a shape and a device, but no values to look at.
inline bool has_values(const at::Tensor& x) { return !x.is_meta() && !x.unsafeGetTensorImpl()->is_python_dispatch(); }

}  // namespace brain2music::kernels
