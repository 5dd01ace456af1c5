#include "brain2music/kernels/permutation_null_body.h"
#include "brain2music/kernels/permutation_null_launch.h"

namespace brain2music::kernels {
namespace {

constexpr int warp = 32;
constexpr int threads = 128;
constexpr std::int64_t orders_per_block = 64;

// A thread a voxel: neighbouring threads read neighbouring addresses, and all read the same order.
template <class Real>
__global__ void permutation_null_kernel(PermutationWork<Real> work) {
  const std::int64_t voxel = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const bool inside = voxel < work.voxels;
  const std::int64_t column = inside ? voxel : work.voxels - 1;
  const PermutationColumn<Real> scores{work.predicted + column, work.observed + column, work.blocks, work.rows,
                                       work.voxels};
  const Real own = scores.own_score();
  const Real limit = own - work.slack;
  const std::int64_t first = std::int64_t{blockIdx.y} * orders_per_block;
  const std::int64_t last = first + orders_per_block < work.permutations ? first + orders_per_block : work.permutations;
  unsigned long long count = 0;
  for (std::int64_t m = first; m < last; ++m) {
    const Real score = scores.score(work.orders + m * work.blocks);
    count += score >= limit ? 1 : 0;
    // fmax passes over NaN. The last voxel's score, again in threads beyond it, changes no maximum.
    Real most = fmax(score, -static_cast<Real>(INFINITY));
    for (int step = warp / 2; step > 0; step /= 2) {
      most = fmax(most, __shfl_xor_sync(0xFFFFFFFFU, most, step));
    }
    if (threadIdx.x % warp == 0) {
      work.largest[m * work.warps + voxel / warp] = most;
    }
  }
  if (inside) {
    atomicAdd(work.at_least + voxel, count);
    work.own[voxel] = own;  // the same from every row of blocks
  }
}

}  // namespace

template <class Real>
cudaError_t launch_permutation_null(const PermutationWork<Real>& work, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((work.voxels + threads - 1) / threads),
                  static_cast<unsigned>((work.permutations + orders_per_block - 1) / orders_per_block));
  permutation_null_kernel<Real><<<grid, threads, 0, stream>>>(work);
  return cudaGetLastError();
}

template cudaError_t launch_permutation_null(const PermutationWork<float>&, cudaStream_t);
template cudaError_t launch_permutation_null(const PermutationWork<double>&, cudaStream_t);

}  // namespace brain2music::kernels
