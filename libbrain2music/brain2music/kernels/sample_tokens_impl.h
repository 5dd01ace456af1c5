#pragma once

#include <ATen/core/Tensor.h>

#include "brain2music/kernels/sample_tokens_body.h"
#include "brain2music/kernels/with_cuda.h"

/// The two implementations behind sample_tokens; input already checked, but for the values of the ranges, and
/// contiguous.
namespace brain2music::kernels {

at::Tensor sample_tokens_cpu(const at::Tensor& logits, const at::Tensor& ranges, const at::Tensor& streams,
                             const at::Tensor& step, int64_t seed, const SampleSettings& settings);

#if defined(B2M_WITH_CUDA)
at::Tensor sample_tokens_cuda(const at::Tensor& logits, const at::Tensor& ranges, const at::Tensor& streams,
                              const at::Tensor& step, int64_t seed, const SampleSettings& settings);
#endif

}  // namespace brain2music::kernels
