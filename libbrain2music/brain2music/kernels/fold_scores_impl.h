#pragma once

#include <ATen/core/Tensor.h>

#include "brain2music/kernels/with_cuda.h"

/// The two implementations behind fold_scores; input already checked.
namespace brain2music::kernels {

at::Tensor fold_scores_cpu(const at::Tensor& products, const at::Tensor& weights);

#if defined(B2M_WITH_CUDA)
at::Tensor fold_scores_cuda(const at::Tensor& products, const at::Tensor& weights);
#endif

}  // namespace brain2music::kernels
