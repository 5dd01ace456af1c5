#pragma once

#include <cstdint>

#include "brain2music/linalg/vector_lanes.h"
#include "brain2music/ridge/panel_product.h"

/// Products of strips with panels, written once for vectors of 8 and of 16 numbers. Included by one file for each
/// instruction set; all of it has internal linkage, so that no file uses what was compiled for another.
namespace brain2music::ridge {
namespace {  // NOLINT(cert-dcl59-cpp,misc-anonymous-namespace-in-header): that is the point

// NOLINTBEGIN(modernize-avoid-c-arrays,cppcoreguidelines-avoid-c-arrays): std::array's functions have external linkage

using linalg::load;
using linalg::store;
using linalg::Vector;

constexpr int strip_rows = 6;
constexpr int panel_columns = 16;

/// The products of some strips with some panels, whose sums stay in registers: 12 of 16, or 24 of 32.
template <int lanes, int strips, int panels>
void tile(const PanelProduct& product, int64_t strip, int64_t panel) {
  using Lanes = Vector<float, lanes>;
  constexpr int vectors = panel_columns / lanes;
  const int64_t between = product.depth * strip_rows;
  const float* left = product.left + strip * between;
  const float* right = product.right + panel * product.right_step;
  Lanes sums[strips][strip_rows][panels][vectors] = {};
  for (int64_t k = 0; k < product.depth; ++k, left += strip_rows, right += panel_columns) {
    Lanes row[panels][vectors];
    for (int p = 0; p < panels; ++p) {
      for (int v = 0; v < vectors; ++v) {
        row[p][v] = load<Lanes>(right + p * product.right_step + v * lanes);
      }
    }
#pragma GCC unroll 2
    for (int s = 0; s < strips; ++s) {
#pragma GCC unroll 6
      for (int r = 0; r < strip_rows; ++r) {
        const float factor = left[s * between + r];
#pragma GCC unroll 2
        for (int p = 0; p < panels; ++p) {
#pragma GCC unroll 2
          for (int v = 0; v < vectors; ++v) {
            sums[s][r][p][v] += factor * row[p][v];
          }
        }
      }
    }
  }
  for (int p = 0; p < panels; ++p) {
    const int64_t place = (panel + p) * product.step + strip * strip_rows * panel_columns;
    for (int s = 0; s < strips; ++s) {
      for (int r = 0; r < strip_rows; ++r) {
        for (int v = 0; v < vectors; ++v) {
          const int64_t at = place + ((s * strip_rows + r) * vectors + v) * lanes;
          Lanes sum = sums[s][r][p][v];
          if (product.adds) {
            sum += load<Lanes>(product.products + at);
          } else if (product.less != nullptr) {
            sum -= load<Lanes>(product.less + at);
          }
          store(product.products + at, sum);
        }
      }
    }
  }
}

template <int lanes>
void panel_product_of(const PanelProduct& product) {
  constexpr int together = lanes / 8;  // strips, and panels
  const auto strips_of = [&]<int panels>(linalg::Count<panels>, int64_t panel) {
    int64_t strip = 0;
    for (; strip + together <= product.strips; strip += together) {
      tile<lanes, together, panels>(product, strip, panel);
    }
    for (; strip < product.strips; ++strip) {
      tile<lanes, 1, panels>(product, strip, panel);
    }
  };
  int64_t panel = 0;
  for (; panel + together <= product.panels; panel += together) {
    strips_of(linalg::Count<together>{}, panel);
  }
  for (; panel < product.panels; ++panel) {
    strips_of(linalg::Count<1>{}, panel);
  }
}

// NOLINTEND(modernize-avoid-c-arrays,cppcoreguidelines-avoid-c-arrays)

}  // namespace
}  // namespace brain2music::ridge
