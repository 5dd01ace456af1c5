#include "brain2music/ridge/panel_product.h"
#include "brain2music/ridge/panel_product_body.h"

namespace brain2music::ridge {

void panel_product_avx512(const PanelProduct& product) { panel_product_of<16>(product); }

}  // namespace brain2music::ridge
