#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace brain2music::kernels {

/// All that the kernel reads and writes.
template <class Real>
struct PermutationWork {
  const Real* predicted;  // (blocks, rows, voxels) contiguous
  const Real* observed;
  const std::int64_t* orders;  // (permutations, blocks)
  std::int64_t blocks;
  std::int64_t rows;
  std::int64_t voxels;
  std::int64_t permutations;
  Real slack;
  unsigned long long* at_least;  // (voxels,), zero
  Real* own;                     // (voxels,)
  Real* largest;                 // (permutations, warps): of the voxels of each warp
  std::int64_t warps;
};

/// Queues all scores on `stream`.
template <class Real>
cudaError_t launch_permutation_null(const PermutationWork<Real>& work, cudaStream_t stream);

}  // namespace brain2music::kernels
