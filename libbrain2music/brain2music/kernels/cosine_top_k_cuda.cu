#include "brain2music/kernels/cosine_top_k_launch.h"

namespace brain2music::kernels {
namespace {

constexpr unsigned threads_of_rows = 128;

unsigned blocks_for(std::int64_t count, std::int64_t of) { return static_cast<unsigned>((count + of - 1) / of); }

__global__ void row_norms_kernel(const float* __restrict__ x, std::int64_t rows, std::int64_t d,
                                 double* __restrict__ norms, std::int64_t* bad) {
  const std::int64_t row = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (row >= rows) {
    return;
  }
  norms[row] = row_norm(x + row * d, d);
  if (!has_direction(norms[row])) {
    atomicMin(reinterpret_cast<long long*>(bad), static_cast<long long>(row));
  }
}

__global__ void cosine_keys_kernel(CosineBlock work) {
  __shared__ CosineBlock::Memory memory;
  CosineBlock::Sums sums;
  const int thread = static_cast<int>(threadIdx.x);
  for (std::int64_t first = 0; first < work.d; first += CosineBlock::chunk) {
    work.load(blockIdx.x, blockIdx.y, first, thread, memory);
    __syncthreads();
    CosineBlock::add(thread, memory, sums);
    __syncthreads();
  }
  work.store(blockIdx.x, blockIdx.y, thread, sums);
}

__global__ void unpack_keys_kernel(const std::int64_t* __restrict__ keys, std::int64_t count,
                                   float* __restrict__ scores, std::int64_t* __restrict__ indices) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < count) {
    scores[i] = score_of(keys[i]);
    indices[i] = row_of(keys[i]);
  }
}

}  // namespace

cudaError_t launch_row_norms(const float* x, std::int64_t rows, std::int64_t d, double* norms, std::int64_t* bad,
                             cudaStream_t stream) {
  row_norms_kernel<<<blocks_for(rows, threads_of_rows), threads_of_rows, 0, stream>>>(x, rows, d, norms, bad);
  return cudaGetLastError();
}

cudaError_t launch_cosine_keys(const CosineBlock& work, cudaStream_t stream) {
  const dim3 grid(blocks_for(work.n, CosineBlock::threads), blocks_for(work.q, CosineBlock::width));
  cosine_keys_kernel<<<grid, CosineBlock::threads, 0, stream>>>(work);
  return cudaGetLastError();
}

cudaError_t launch_unpack_keys(const std::int64_t* keys, std::int64_t count, float* scores, std::int64_t* indices,
                               cudaStream_t stream) {
  unpack_keys_kernel<<<blocks_for(count, threads_of_rows), threads_of_rows, 0, stream>>>(keys, count, scores, indices);
  return cudaGetLastError();
}

}  // namespace brain2music::kernels
