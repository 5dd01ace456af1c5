#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "brain2music/export.h"

namespace brain2music::linalg {

/// Outputs of a block of packed weights.
constexpr int64_t block_outputs = 16;

/// The weights of a linear map as packed_linear() reads them.
struct PackedWeights {
  /// (blocks, features, 16) of outputs in turn, zeros behind the last; float32, bfloat16, float16 or int8. In bfloat16
  /// outputs j and j + 8 of a block lie side by side: as one word of 32 bits they become two float32 by a shift and a
  /// mask. In int8 features k and k + 1 of an output lie side by side; a last one alone has a zero beside it.
  at::Tensor values;
  std::optional<at::Tensor> scale;  ///< (outputs,) float32, where the values are int8: what an output is multiplied by
};

/// Packs weights: float32 as they are, bfloat16 and float16 rounded to the nearest, int8 by the largest of each output,
/// which becomes 127.
/// @param weights (outputs, features) of a floating type, on a CPU, finite.
/// @param dtype   float32, bfloat16, float16 or int8.
/// @throws std::invalid_argument for other types, shapes and devices.
B2M_API PackedWeights pack(const at::Tensor& weights, at::ScalarType dtype);

/// The weights that are multiplied with, (outputs, features) float32: what packing kept of them.
B2M_API at::Tensor unpacked(const PackedWeights& packed, int64_t outputs, int64_t features);

}  // namespace brain2music::linalg
