#include "wide_tiles.h"

#include "brain2music/linalg/packed_tile_body.h"
#include "brain2music/ridge/panel_product_body.h"

void packed_product_wide(const brain2music::linalg::PackedProduct& product, int64_t first, int64_t last) {
  brain2music::linalg::product_of_any<16>(product, first, last);
}

void panel_product_wide(const brain2music::ridge::PanelProduct& product) {
  brain2music::ridge::panel_product_of<16>(product);
}
