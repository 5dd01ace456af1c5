#pragma once

#include "brain2music/kernels/standardize.h"
#include "brain2music/kernels/with_cuda.h"

/// The two implementations behind standardize; input already checked.
namespace brain2music::kernels {

at::Tensor standardize_cpu(const at::Tensor& x, at::IntArrayRef run_lengths);

#if defined(B2M_WITH_CUDA)
at::Tensor standardize_cuda(const at::Tensor& x, at::IntArrayRef run_lengths);
#endif

}  // namespace brain2music::kernels
