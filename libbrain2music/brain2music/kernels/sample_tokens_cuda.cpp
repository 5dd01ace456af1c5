#include <ATen/cuda/CUDAContext.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include <limits>

#include "brain2music/check.h"
#include "brain2music/kernels/sample_tokens_impl.h"
#include "brain2music/kernels/sample_tokens_launch.h"

namespace brain2music::kernels {

at::Tensor sample_tokens_cuda(const at::Tensor& logits, const at::Tensor& ranges, const at::Tensor& streams,
                              const at::Tensor& step, int64_t seed, const SampleSettings& settings) {
  constexpr int64_t most_rows = std::numeric_limits<int32_t>::max();  // blocks of a grid
  require(logits.size(0) <= most_rows, "kernels.sample_tokens", "there must be at most ", most_rows,
          " rows; got shape ", logits.sizes());
  const c10::cuda::CUDAGuard guard(logits.device());
  at::Tensor tokens = at::empty({logits.size(0)}, streams.options());
  if (logits.size(0) == 0) {
    return tokens;
  }
  at::Tensor weights = at::empty(logits.sizes(), streams.options());
  const SampleBlock work{logits.const_data_ptr<float>(),
                         ranges.const_data_ptr<int64_t>(),
                         streams.const_data_ptr<int64_t>(),
                         step.const_data_ptr<int64_t>(),
                         seed,
                         settings,
                         logits.size(0),
                         logits.size(1),
                         reinterpret_cast<std::uint64_t*>(weights.mutable_data_ptr<int64_t>()),
                         tokens.mutable_data_ptr<int64_t>()};
  C10_CUDA_CHECK(launch_sample_tokens(work, at::cuda::getCurrentCUDAStream()));
  return tokens;
}

}  // namespace brain2music::kernels
