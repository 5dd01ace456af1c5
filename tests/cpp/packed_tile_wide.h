#pragma once

#include "brain2music/linalg/packed_tile.h"

void packed_product_wide(const brain2music::linalg::PackedProduct& product, int64_t first, int64_t last);
