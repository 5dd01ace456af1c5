#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace brain2music::kernels {

/// Queues one run on `stream`; x and y point to its first scan, y is (scans, voxels) contiguous.
template <class Real>
cudaError_t launch_standardize(const Real* x, std::int64_t scan_stride, std::int64_t voxel_stride, Real* y,
                               std::int64_t scans, std::int64_t voxels, cudaStream_t stream);

}  // namespace brain2music::kernels
