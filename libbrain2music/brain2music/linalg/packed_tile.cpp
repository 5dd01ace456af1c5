#include "brain2music/linalg/packed_tile.h"
#include "brain2music/linalg/packed_tile_body.h"

namespace brain2music::linalg {

void packed_product(const PackedProduct& product, int64_t first, int64_t last) {
  product_of_any<8>(product, first, last);
}

}  // namespace brain2music::linalg
