#include "brain2music/ridge/panel_product.h"
#include "brain2music/ridge/panel_product_body.h"

namespace brain2music::ridge {

void panel_product(const PanelProduct& product) { panel_product_of<8>(product); }

}  // namespace brain2music::ridge
