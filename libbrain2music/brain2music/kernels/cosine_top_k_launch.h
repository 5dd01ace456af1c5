#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "brain2music/kernels/cosine_top_k_tile.h"

namespace brain2music::kernels {

/// Queues the norms of `rows` rows of x on `stream`; `bad` becomes the least row without a direction, if it was
/// greater.
cudaError_t launch_row_norms(const float* x, std::int64_t rows, std::int64_t d, double* norms, std::int64_t* bad,
                             cudaStream_t stream);

/// Queues the keys of all pairs.
cudaError_t launch_cosine_keys(const CosineBlock& work, cudaStream_t stream);

/// Queues what keys say of score and row.
cudaError_t launch_unpack_keys(const std::int64_t* keys, std::int64_t count, float* scores, std::int64_t* indices,
                               cudaStream_t stream);

}  // namespace brain2music::kernels
