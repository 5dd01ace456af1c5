#include "brain2music/kernels/sample_tokens_launch.h"

namespace brain2music::kernels {
namespace {

struct BlockTeam {
  template <class Work>
  __device__ __forceinline__ void each(const Work& work) const {
    work(static_cast<int>(threadIdx.x));
    __syncthreads();
  }
};

__global__ void __launch_bounds__(SampleBlock::threads) sample_tokens_kernel(SampleBlock work) {
  __shared__ SampleBlock::Memory memory;
  work.run(BlockTeam{}, blockIdx.x, memory);
}

}  // namespace

cudaError_t launch_sample_tokens(const SampleBlock& work, cudaStream_t stream) {
  sample_tokens_kernel<<<static_cast<unsigned>(work.rows), SampleBlock::threads, 0, stream>>>(work);
  return cudaGetLastError();
}

}  // namespace brain2music::kernels
