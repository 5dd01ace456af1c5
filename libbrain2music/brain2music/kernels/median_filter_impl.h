#pragma once

#include "brain2music/kernels/median_filter.h"
#include "brain2music/kernels/with_cuda.h"

/// The two implementations behind median_filter; input already checked. `kept` lies on the device of `x`; null: all.
namespace brain2music::kernels {

at::Tensor median_filter_cpu(const at::Tensor& x, int64_t size, at::IntArrayRef run_lengths, MedianOutput output,
                             const bool* kept);

#if defined(B2M_WITH_CUDA)
at::Tensor median_filter_cuda(const at::Tensor& x, int64_t size, at::IntArrayRef run_lengths, MedianOutput output,
                              const bool* kept);
#endif

}  // namespace brain2music::kernels
