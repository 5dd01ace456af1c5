#pragma once

#include <cstdint>

#include "brain2music/export.h"

/// What PackedLeft hands to the products of an instruction set. No type of LibTorch or of the standard library crosses
/// this line: what is compiled for wide vectors must not become the program's copy of an inline function.
namespace brain2music::ridge {

/// A product of strips of 6 rows with panels of 16 columns.
struct PanelProduct {
  const float* left;   ///< (strips, depth, 6)
  const float* right;  ///< panels (depth, 16), a step apart
  int64_t right_step;
  float* products;  ///< panels (strips of 6, 16), a step apart
  int64_t step;
  const float* less;  ///< taken from the products, in their order; or null
  bool adds;          ///< to what `products` holds, whatever `less` is
  int64_t strips;
  int64_t depth;
  int64_t panels;
};

/// Computes all products, every one as a sum in one order: over the depth in turn, fused.
using PanelKernel = void (*)(const PanelProduct& product);

/// In vectors of 8 numbers, for every processor.
B2M_API void panel_product(const PanelProduct& product);

/// In vectors of 16 numbers, for processors with AVX-512.
B2M_API void panel_product_avx512(const PanelProduct& product);

}  // namespace brain2music::ridge
