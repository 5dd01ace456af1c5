#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace brain2music::kernels {

/// Queues fold_scores on `stream`; products (5, features, targets), weights (5, penalties, features) and sums
/// (3, penalties, targets) are contiguous.
template <class Real>
cudaError_t launch_fold_scores(const Real* products, const Real* weights, double* sums, std::int64_t penalties,
                               std::int64_t features, std::int64_t targets, cudaStream_t stream);

}  // namespace brain2music::kernels
