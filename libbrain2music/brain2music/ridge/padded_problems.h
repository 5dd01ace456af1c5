#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "brain2music/export.h"
#include "brain2music/ridge/design.h"
#include "brain2music/ridge/options.h"

/// Several X of unequal numbers of features, such as regions of the brain, beside one set of few targets: worked on at
/// once, since each alone would leave a GPU idle. Features are filled up with zeros, which change no prediction.
namespace brain2music::ridge {

/// Bytes that a problem takes while it is worked on, with so many features after filling up.
int64_t padded_bytes(int64_t rows, int64_t features, int64_t targets, int64_t folds, int64_t penalties);

/// Fits all `designs` by Cholesky in float64, all folds' and penalties' factors of one fold in a batch. They differ in
/// their features only. `y` is (n, t) as given; penalties are those of the options, or relative to each X; there are no
/// predictions.
B2M_API std::vector<RidgeFit> fit_padded(std::vector<Design> designs, const at::Tensor& y, const RidgeOptions& options);

}  // namespace brain2music::ridge
