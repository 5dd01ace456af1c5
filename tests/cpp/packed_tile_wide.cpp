// Vectors of 16 numbers, as the processor that the tests run on computes them: what AVX-512 does, on any machine.
#include "packed_tile_wide.h"

#include "brain2music/linalg/packed_tile_body.h"

void packed_product_wide(const brain2music::linalg::PackedProduct& product, int64_t first, int64_t last) {
  brain2music::linalg::product_of_any<16>(product, first, last);
}
