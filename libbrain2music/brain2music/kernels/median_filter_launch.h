#pragma once

#include <cuda_runtime_api.h>

#include "brain2music/kernels/median_filter_tile.h"

namespace brain2music::kernels {

/// Queues the filter of one run on `stream`.
template <class Real>
cudaError_t launch_median_filter(const MedianBlock<Real>& work, cudaStream_t stream);

}  // namespace brain2music::kernels
