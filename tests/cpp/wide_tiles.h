#pragma once

#include "brain2music/linalg/packed_tile.h"
#include "brain2music/ridge/panel_product.h"

/// Vectors of 16 numbers, as the processor that the tests run on computes them: what AVX-512 does, on any machine.
void packed_product_wide(const brain2music::linalg::PackedProduct& product, int64_t first, int64_t last);
void panel_product_wide(const brain2music::ridge::PanelProduct& product);
