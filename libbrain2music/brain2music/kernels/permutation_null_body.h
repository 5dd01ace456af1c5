#pragma once

#include <cmath>
#include <cstdint>

#include "brain2music/kernels/host_device.h"

/// The arithmetic of permutation_null, shared by CPU and CUDA. Products within a block are added up first, row by row,
/// then blocks in their order; every path takes its sums in this order, so that all give the same bits.
namespace brain2music::kernels {

/// One voxel's column in n blocks of r rows; rows lie `stride` apart.
template <class Real>
struct PermutationColumn {
  const Real* predicted;
  const Real* observed;
  std::int64_t blocks;
  std::int64_t rows;  // of a block
  std::int64_t stride;

  /// The score of block `from` of the predictions in place of block `place`.
  B2M_HOST_DEVICE Real product(std::int64_t from, std::int64_t place) const {
    const Real* p = predicted + from * rows * stride;
    const Real* y = observed + place * rows * stride;
    Real sum = 0;
    for (std::int64_t row = 0; row < rows; ++row) {
      sum = fma(p[row * stride], y[row * stride], sum);
    }
    return sum;
  }

  /// The score of an order; NaN where it names a block that there is not.
  B2M_HOST_DEVICE Real score(const std::int64_t* order) const {
    Real sum = 0;
    for (std::int64_t place = 0; place < blocks; ++place) {
      const std::int64_t from = order[place];
      if (from < 0 || from >= blocks) {
        return static_cast<Real>(NAN);
      }
      sum += product(from, place);
    }
    return sum;
  }

  /// The score of the blocks in their own order.
  B2M_HOST_DEVICE Real own_score() const {
    Real sum = 0;
    for (std::int64_t place = 0; place < blocks; ++place) {
      sum += product(place, place);
    }
    return sum;
  }
};

}  // namespace brain2music::kernels
