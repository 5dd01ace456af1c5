#pragma once

#include <tuple>

#include "brain2music/kernels/cosine_top_k.h"
#include "brain2music/kernels/with_cuda.h"

/// The implementations behind cosine_top_k; shapes, types and k already checked, values not.
namespace brain2music::kernels {

using ScoresAndIndices = std::tuple<at::Tensor, at::Tensor>;

ScoresAndIndices cosine_top_k_cpu(const at::Tensor& queries, const at::Tensor& items, int64_t k,
                                  const std::optional<at::Tensor>& sketch);

#if defined(B2M_WITH_CUDA)
ScoresAndIndices cosine_top_k_cuda(const at::Tensor& queries, const at::Tensor& items, int64_t k,
                                   const std::optional<at::Tensor>& sketch);
#endif

/// What all devices say of a row, of "queries" or "items", that has no direction.
[[noreturn]] void row_without_direction(const char* rows, int64_t row);

}  // namespace brain2music::kernels
