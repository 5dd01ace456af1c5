#include "brain2music/kernels/median_filter_launch.h"

namespace brain2music::kernels {
namespace {

template <class Real>
__global__ void median_filter_kernel(const Real* __restrict__ x, std::int64_t scan_stride, std::int64_t voxel_stride,
                                     Real* __restrict__ y, std::int64_t voxels, ReflectedRun run, MedianPlan plan,
                                     bool residual) {
  extern __shared__ __align__(8) char memory[];
  const auto shape = MedianTileShape::of(run, plan.outputs, blockIdx.y);
  const std::int64_t first_voxel = std::int64_t{blockIdx.x} * plan.columns;

  // Neighbouring threads read neighbouring voxels of one scan.
  for (std::int64_t k = threadIdx.x; k < shape.samples * plan.columns; k += blockDim.x) {
    const std::int64_t column = k % plan.columns;
    const std::int64_t sample = k / plan.columns;
    if (first_voxel + column < voxels) {
      const auto tile = MedianTile<Real>::at(shape, plan, memory + column * plan.column_bytes);
      tile.keys[sample] =
          to_key(x[(shape.first_sample + sample) * scan_stride + (first_voxel + column) * voxel_stride]);
    }
  }
  __syncthreads();

  const int column = static_cast<int>(threadIdx.x) / MedianTileShape::lanes;
  const int lane = static_cast<int>(threadIdx.x) % MedianTileShape::lanes;
  const std::int64_t voxel = first_voxel + column;
  const auto tile = MedianTile<Real>::at(shape, plan, memory + column * plan.column_bytes);
  if (voxel < voxels) {
    tile.rank(lane);
  }
  __syncthreads();
  if (voxel < voxels) {
    tile.filter(lane, [=](std::int64_t scan, Real value, Real median) {
      y[scan * voxels + voxel] = residual ? value - median : median;
    });
  }
}

}  // namespace

template <class Real>
cudaError_t launch_median_filter(const Real* x, std::int64_t scan_stride, std::int64_t voxel_stride, Real* y,
                                 std::int64_t voxels, ReflectedRun run, const MedianPlan& plan, bool residual,
                                 cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((voxels + plan.columns - 1) / plan.columns),
                  static_cast<unsigned>((run.scans + plan.outputs - 1) / plan.outputs));
  const auto threads = static_cast<unsigned>(plan.columns * MedianTileShape::lanes);
  median_filter_kernel<Real><<<grid, threads, static_cast<std::size_t>(plan.block_bytes()), stream>>>(
      x, scan_stride, voxel_stride, y, voxels, run, plan, residual);
  return cudaGetLastError();
}

template cudaError_t launch_median_filter(const float*, std::int64_t, std::int64_t, float*, std::int64_t, ReflectedRun,
                                          const MedianPlan&, bool, cudaStream_t);
template cudaError_t launch_median_filter(const double*, std::int64_t, std::int64_t, double*, std::int64_t,
                                          ReflectedRun, const MedianPlan&, bool, cudaStream_t);

}  // namespace brain2music::kernels
