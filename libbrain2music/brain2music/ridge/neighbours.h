#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace brain2music::ridge {

/// Whether rows, int64 indices on the CPU in increasing order, lie next to each other.
inline bool are_neighbours(const at::Tensor& rows) {
  const auto* values = rows.const_data_ptr<int64_t>();
  const int64_t count = rows.numel();
  return count > 0 && values[count - 1] - values[0] + 1 == count;
}

}  // namespace brain2music::ridge
