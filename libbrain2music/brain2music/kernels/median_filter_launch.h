#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "brain2music/kernels/median_filter_tile.h"

namespace brain2music::kernels {

/// Queues the filter of one run on `stream`; x and y point to its first scan, y is (scans, voxels) contiguous.
template <class Real>
cudaError_t launch_median_filter(const Real* x, std::int64_t scan_stride, std::int64_t voxel_stride, Real* y,
                                 std::int64_t voxels, ReflectedRun run, const MedianPlan& plan, bool residual,
                                 cudaStream_t stream);

}  // namespace brain2music::kernels
