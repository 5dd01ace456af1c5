#include "brain2music/kernels/fold_scores_body.h"
#include "brain2music/kernels/fold_scores_launch.h"

namespace brain2music::kernels {
namespace {

// A thread a target: neighbouring threads read neighbouring addresses, and the sums run in the CPU's order. A row of
// the grid takes a few penalties, whose weights all threads of a warp read at once.
template <class Real>
__global__ void fold_scores_kernel(const Real* __restrict__ products, const Real* __restrict__ weights,
                                   double* __restrict__ sums, std::int64_t penalties, std::int64_t features,
                                   std::int64_t targets) {
  const std::int64_t target = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (target >= targets) {
    return;
  }
  const std::int64_t first = std::int64_t{blockIdx.y} * penalties_at_once;
  const std::int64_t matrix = features * targets;
  const std::int64_t step = penalties * features;
  Real predicted[penalties_at_once] = {};
  Real product[penalties_at_once] = {};
  Real squares[penalties_at_once] = {};
  for (std::int64_t feature = 0; feature < features; ++feature) {
    const Real* at = products + feature * targets + target;
    const FoldTerms<Real> terms = fold_terms(at[0], at[matrix], at[2 * matrix], at[3 * matrix], at[4 * matrix]);
#pragma unroll
    for (int k = 0; k < penalties_at_once; ++k) {
      if (first + k < penalties) {
        const Real* weight = weights + (first + k) * features + feature;
        const FoldWeights<Real> w{weight[0], weight[step], weight[2 * step], weight[3 * step], weight[4 * step]};
        add_fold_terms(terms, w, predicted[k], product[k], squares[k]);
      }
    }
  }
#pragma unroll
  for (int k = 0; k < penalties_at_once; ++k) {
    if (first + k < penalties) {
      const std::int64_t out = (first + k) * targets + target;
      sums[out] = static_cast<double>(predicted[k]);
      sums[penalties * targets + out] = static_cast<double>(product[k]);
      sums[2 * penalties * targets + out] = static_cast<double>(squares[k]);
    }
  }
}

}  // namespace

template <class Real>
cudaError_t launch_fold_scores(const Real* products, const Real* weights, double* sums, std::int64_t penalties,
                               std::int64_t features, std::int64_t targets, cudaStream_t stream) {
  constexpr unsigned threads = 128;
  const dim3 blocks(static_cast<unsigned>((targets + threads - 1) / threads),
                    static_cast<unsigned>((penalties + penalties_at_once - 1) / penalties_at_once));
  fold_scores_kernel<Real><<<blocks, threads, 0, stream>>>(products, weights, sums, penalties, features, targets);
  return cudaGetLastError();
}

template cudaError_t launch_fold_scores(const float*, const float*, double*, std::int64_t, std::int64_t, std::int64_t,
                                        cudaStream_t);
template cudaError_t launch_fold_scores(const double*, const double*, double*, std::int64_t, std::int64_t, std::int64_t,
                                        cudaStream_t);

}  // namespace brain2music::kernels
