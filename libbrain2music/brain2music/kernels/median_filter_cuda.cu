#include "brain2music/kernels/median_filter_launch.h"

namespace brain2music::kernels {
namespace {

template <class Real>
__global__ void median_filter_kernel(MedianBlock<Real> work) {
  extern __shared__ __align__(8) char memory[];
  const int thread = static_cast<int>(threadIdx.x);
  work.load(blockIdx.x, blockIdx.y, thread, static_cast<int>(blockDim.x), memory);
  __syncthreads();
  work.rank(blockIdx.x, blockIdx.y, thread, memory);
  __syncthreads();
  work.filter(blockIdx.x, blockIdx.y, thread, memory);
}

}  // namespace

template <class Real>
cudaError_t launch_median_filter(const MedianBlock<Real>& work, cudaStream_t stream) {
  const MedianPlan& plan = work.plan;
  const dim3 grid(static_cast<unsigned>((work.voxels + plan.columns - 1) / plan.columns),
                  static_cast<unsigned>((work.run.scans + plan.outputs - 1) / plan.outputs));
  const auto threads = static_cast<unsigned>(plan.columns * MedianTileShape::lanes);
  median_filter_kernel<Real><<<grid, threads, static_cast<std::size_t>(plan.block_bytes()), stream>>>(work);
  return cudaGetLastError();
}

template cudaError_t launch_median_filter(const MedianBlock<float>&, cudaStream_t);
template cudaError_t launch_median_filter(const MedianBlock<double>&, cudaStream_t);

}  // namespace brain2music::kernels
