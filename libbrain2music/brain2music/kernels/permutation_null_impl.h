#pragma once

#include "brain2music/kernels/permutation_null.h"
#include "brain2music/kernels/with_cuda.h"

/// The two implementations behind permutation_null; input already checked and contiguous.
namespace brain2music::kernels {

PermutationNull permutation_null_cpu(const at::Tensor& predicted, const at::Tensor& observed,
                                     const at::Tensor& permutations, double slack);

#if defined(B2M_WITH_CUDA)
PermutationNull permutation_null_cuda(const at::Tensor& predicted, const at::Tensor& observed,
                                      const at::Tensor& permutations, double slack);
#endif

}  // namespace brain2music::kernels
