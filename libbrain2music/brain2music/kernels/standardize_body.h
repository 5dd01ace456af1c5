#pragma once

#include <cmath>
#include <cstdint>

#include "brain2music/kernels/host_device.h"

/// The arithmetic of standardize, shared by CPU and CUDA. Both take a column's sums scan by scan, in the same order, so
/// that both give the same bits.
namespace brain2music::kernels {

B2M_HOST_DEVICE double add_squared_distance(double squares, double value, double mean) {
  const double distance = value - mean;
  return fma(distance, distance, squares);
}

/// What a centred value is multiplied by; 0 for a column that does not vary, whatever rounding left in `squares`.
B2M_HOST_DEVICE double standard_scale(bool varies, double squares, std::int64_t scans) {
  return varies ? 1.0 / sqrt(squares / static_cast<double>(scans)) : 0.0;
}

template <class Real>
B2M_HOST_DEVICE Real standardized(Real value, double mean, double scale) {
  return static_cast<Real>((static_cast<double>(value) - mean) * scale);
}

}  // namespace brain2music::kernels
