#include "brain2music/linalg/packed_tile.h"
#include "brain2music/linalg/packed_tile_body.h"

namespace brain2music::linalg {

void packed_product_avx512(const PackedProduct& product, int64_t first, int64_t last) {
  product_of_any<16>(product, first, last);
}

}  // namespace brain2music::linalg
