#include "brain2music/kernels/fold_scores_body.h"
#include "brain2music/kernels/fold_scores_launch.h"

namespace brain2music::kernels {
namespace {

// Neighbouring weights, read at once.
template <class Real, int length>
struct alignas(sizeof(Real) * length) Pack {
  Real at[length];
};

// A thread a target: neighbouring threads read neighbouring addresses, and the sums run in the CPU's order. A row of
// the grid takes `count` penalties, whose weights all threads of a warp read at once, those of `step` features in a
// piece: products are read once for all of them.
template <class Real, int count, int step>
__global__ void fold_scores_kernel(const Real* __restrict__ products, const Real* __restrict__ weights,
                                   double* __restrict__ sums, std::int64_t penalties, std::int64_t features,
                                   std::int64_t targets) {
  const std::int64_t target = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (target >= targets) {
    return;
  }
  const std::int64_t first = std::int64_t{blockIdx.y} * count;
  const std::int64_t matrix = features * targets;
  const std::int64_t part = penalties * features;
  Real predicted[count] = {};
  Real product[count] = {};
  Real squares[count] = {};
  for (std::int64_t feature = 0; feature < features; feature += step) {
    FoldTerms<Real> terms[step];
#pragma unroll
    for (int i = 0; i < step; ++i) {
      const Real* at = products + (feature + i) * targets + target;
      terms[i] = fold_terms(at[0], at[matrix], at[2 * matrix], at[3 * matrix], at[4 * matrix]);
    }
#pragma unroll
    for (int k = 0; k < count; ++k) {
      if (first + k < penalties) {
        const Real* weight = weights + (first + k) * features + feature;
        Pack<Real, step> w[5];
#pragma unroll
        for (int kind = 0; kind < 5; ++kind) {
          w[kind] = *reinterpret_cast<const Pack<Real, step>*>(weight + kind * part);
        }
#pragma unroll
        for (int i = 0; i < step; ++i) {
          const FoldWeights<Real> each{w[0].at[i], w[1].at[i], w[2].at[i], w[3].at[i], w[4].at[i]};
          add_fold_terms(terms[i], each, predicted[k], product[k], squares[k]);
        }
      }
    }
  }
#pragma unroll
  for (int k = 0; k < count; ++k) {
    if (first + k < penalties) {
      const std::int64_t out = (first + k) * targets + target;
      sums[out] = static_cast<double>(predicted[k]);
      sums[penalties * targets + out] = static_cast<double>(product[k]);
      sums[2 * penalties * targets + out] = static_cast<double>(squares[k]);
    }
  }
}

template <class Real, int count, int step>
cudaError_t launch(const Real* products, const Real* weights, double* sums, std::int64_t penalties,
                   std::int64_t features, std::int64_t targets, cudaStream_t stream) {
  constexpr unsigned threads = 128;
  const dim3 blocks(static_cast<unsigned>((targets + threads - 1) / threads),
                    static_cast<unsigned>((penalties + count - 1) / count));
  fold_scores_kernel<Real, count, step>
      <<<blocks, threads, 0, stream>>>(products, weights, sums, penalties, features, targets);
  return cudaGetLastError();
}

template <class Real, int step>
cudaError_t launch_for(const Real* products, const Real* weights, double* sums, std::int64_t penalties,
                       std::int64_t features, std::int64_t targets, cudaStream_t stream) {
  const auto by = penalties <= 4   ? launch<Real, 4, step>
                  : penalties <= 8 ? launch<Real, 8, step>
                                   : launch<Real, 12, step>;
  return by(products, weights, sums, penalties, features, targets, stream);
}

}  // namespace

template <class Real>
cudaError_t launch_fold_scores(const Real* products, const Real* weights, double* sums, std::int64_t penalties,
                               std::int64_t features, std::int64_t targets, cudaStream_t stream) {
  constexpr int step = 16 / sizeof(Real);
  const bool whole = features % step == 0 && reinterpret_cast<std::uintptr_t>(weights) % 16 == 0;
  const auto by = whole ? launch_for<Real, step> : launch_for<Real, 1>;
  return by(products, weights, sums, penalties, features, targets, stream);
}

template cudaError_t launch_fold_scores(const float*, const float*, double*, std::int64_t, std::int64_t, std::int64_t,
                                        cudaStream_t);
template cudaError_t launch_fold_scores(const double*, const double*, double*, std::int64_t, std::int64_t, std::int64_t,
                                        cudaStream_t);

}  // namespace brain2music::kernels
