#include "brain2music/kernels/standardize_body.h"
#include "brain2music/kernels/standardize_launch.h"

namespace brain2music::kernels {
namespace {

// A thread a voxel: neighbouring threads read neighbouring addresses, and the sums run in the CPU's order.
template <class Real>
__global__ void standardize_kernel(const Real* __restrict__ x, std::int64_t scan_stride, std::int64_t voxel_stride,
                                   Real* __restrict__ y, std::int64_t scans, std::int64_t voxels) {
  const std::int64_t voxel = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (voxel >= voxels) {
    return;
  }
  const Real* column = x + voxel * voxel_stride;
  double sum = 0;
  bool varies = false;
  for (std::int64_t scan = 0; scan < scans; ++scan) {
    sum += static_cast<double>(column[scan * scan_stride]);
    varies |= column[scan * scan_stride] != column[0];
  }
  const double mean = sum / static_cast<double>(scans);
  double squares = 0;
  for (std::int64_t scan = 0; scan < scans; ++scan) {
    squares = add_squared_distance(squares, static_cast<double>(column[scan * scan_stride]), mean);
  }
  const double scale = standard_scale(varies, squares, scans);
  for (std::int64_t scan = 0; scan < scans; ++scan) {
    y[scan * voxels + voxel] = standardized(column[scan * scan_stride], mean, scale);
  }
}

}  // namespace

template <class Real>
cudaError_t launch_standardize(const Real* x, std::int64_t scan_stride, std::int64_t voxel_stride, Real* y,
                               std::int64_t scans, std::int64_t voxels, cudaStream_t stream) {
  constexpr unsigned threads = 128;
  const auto blocks = static_cast<unsigned>((voxels + threads - 1) / threads);
  standardize_kernel<Real><<<blocks, threads, 0, stream>>>(x, scan_stride, voxel_stride, y, scans, voxels);
  return cudaGetLastError();
}

template cudaError_t launch_standardize(const float*, std::int64_t, std::int64_t, float*, std::int64_t, std::int64_t,
                                        cudaStream_t);
template cudaError_t launch_standardize(const double*, std::int64_t, std::int64_t, double*, std::int64_t, std::int64_t,
                                        cudaStream_t);

}  // namespace brain2music::kernels
