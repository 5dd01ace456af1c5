#include <ATen/cuda/CUDAContext.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "brain2music/check.h"
#include "brain2music/kernels/fold_scores_impl.h"
#include "brain2music/kernels/fold_scores_launch.h"

namespace brain2music::kernels {
namespace {

template <class Real>
void score_all(const at::Tensor& products, const at::Tensor& weights, const at::Tensor& sums) {
  C10_CUDA_CHECK(launch_fold_scores(products.const_data_ptr<Real>(), weights.const_data_ptr<Real>(),
                                    sums.mutable_data_ptr<double>(), weights.size(1), products.size(1),
                                    products.size(2), at::cuda::getCurrentCUDAStream()));
}

}  // namespace

at::Tensor fold_scores_cuda(const at::Tensor& products, const at::Tensor& weights) {
  constexpr int64_t most_penalties = 4 * 65535;  // the second dimension of a grid
  require(weights.size(1) <= most_penalties, "kernels.fold_scores", "there must be at most ", most_penalties,
          " penalties; got ", weights.size(1));
  const c10::cuda::CUDAGuard guard(products.device());
  at::Tensor sums = at::empty({3, weights.size(1), products.size(2)}, products.options().dtype(at::kDouble));
  if (sums.numel() == 0) {
    return sums;
  }
  if (products.scalar_type() == at::kFloat) {
    score_all<float>(products, weights, sums);
  } else {
    score_all<double>(products, weights, sums);
  }
  return sums;
}

}  // namespace brain2music::kernels
