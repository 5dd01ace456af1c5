#pragma once

#include <cuda_runtime_api.h>

#include "brain2music/kernels/sample_tokens_tile.h"

namespace brain2music::kernels {

/// Queues the draws of all rows on `stream`; at least one.
cudaError_t launch_sample_tokens(const SampleBlock& work, cudaStream_t stream);

}  // namespace brain2music::kernels
