#pragma once

#include <cstdint>

#include "brain2music/export.h"

/// What packed_linear() hands to the products of an instruction set. No type of LibTorch or of the standard library
/// crosses this line: what is compiled for wide vectors must not become the program's copy of an inline function.
namespace brain2music::linalg {

/// How weights are stored.
enum class Stored : std::uint8_t { float32, bfloat16, float16, int8 };

/// Features of int8 weights as they are stored: two lie side by side.
static constexpr int64_t whole_features(int64_t features) { return features + features % 2; }

/// A product of rows with packed weights: y = x weights^T * scale + bias.
struct PackedProduct {
  const float* x;          ///< (rows, features); int8 weights have whole_x instead
  const int16_t* whole_x;  ///< (rows, whole_features), in a unit of each row; at most 32767 either way
  int64_t x_step;          ///< numbers from a row of x or of whole_x to the next
  const float* unit;       ///< (rows,): the unit of whole_x
  const void* weights;     ///< (blocks, features, 16)
  const float* scale;      ///< (outputs,), or null
  const float* bias;       ///< (outputs,), or null
  float* y;                ///< (rows, outputs), contiguous
  int64_t rows;
  int64_t features;
  int64_t outputs;
  Stored stored;
};

/// Computes the outputs of blocks [first, last), every one as a sum in one order for any number of rows: over the
/// features in turn, a float32 for each piece of 256 of them, the pieces added in turn; within a piece, whole numbers
/// are added as such.
using PackedKernel = void (*)(const PackedProduct& product, int64_t first, int64_t last);

/// In vectors of 8 numbers, for every processor.
B2M_API void packed_product(const PackedProduct& product, int64_t first, int64_t last);

/// In vectors of 16 numbers, for processors with AVX-512 (F, BW, DQ, VL).
B2M_API void packed_product_avx512(const PackedProduct& product, int64_t first, int64_t last);

}  // namespace brain2music::linalg
