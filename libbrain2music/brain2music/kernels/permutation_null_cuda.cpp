#include <ATen/cuda/CUDAContext.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include <limits>

#include "brain2music/check.h"
#include "brain2music/kernels/permutation_null_impl.h"
#include "brain2music/kernels/permutation_null_launch.h"

namespace brain2music::kernels {
namespace {

constexpr int64_t most_permutations = 4'000'000;  // a grid has 65,535 rows of blocks, of 64 orders each

template <class Real>
at::Tensor score_all(const at::Tensor& predicted, const at::Tensor& observed, const at::Tensor& permutations,
                     double slack, const PermutationNull& null) {
  const int64_t warps = (predicted.size(2) + 127) / 128 * 4;
  const at::Tensor largest =
      at::full({permutations.size(0), warps}, -std::numeric_limits<double>::infinity(), predicted.options());
  const PermutationWork<Real> work{predicted.const_data_ptr<Real>(),
                                   observed.const_data_ptr<Real>(),
                                   permutations.const_data_ptr<int64_t>(),
                                   predicted.size(0),
                                   predicted.size(1),
                                   predicted.size(2),
                                   permutations.size(0),
                                   static_cast<Real>(slack),
                                   reinterpret_cast<unsigned long long*>(null.at_least.mutable_data_ptr<int64_t>()),
                                   null.own.mutable_data_ptr<Real>(),
                                   largest.mutable_data_ptr<Real>(),
                                   warps};
  C10_CUDA_CHECK(launch_permutation_null(work, at::cuda::getCurrentCUDAStream()));
  return largest.amax(1);
}

}  // namespace

PermutationNull permutation_null_cuda(const at::Tensor& predicted, const at::Tensor& observed,
                                      const at::Tensor& permutations, double slack) {
  require(permutations.size(0) <= most_permutations, "kernels.permutation_null", "there must be at most ",
          most_permutations, " permutations in a call; got ", permutations.size(0));
  const c10::cuda::CUDAGuard guard(predicted.device());
  PermutationNull null{at::zeros({predicted.size(2)}, predicted.options().dtype(at::kLong)),
                       {},
                       at::zeros({predicted.size(2)}, predicted.options())};
  if (predicted.size(2) == 0) {
    null.largest = at::full({permutations.size(0)}, -std::numeric_limits<double>::infinity(), predicted.options());
  } else if (predicted.scalar_type() == at::kFloat) {
    null.largest = score_all<float>(predicted, observed, permutations, slack, null);
  } else {
    null.largest = score_all<double>(predicted, observed, permutations, slack, null);
  }
  return null;
}

}  // namespace brain2music::kernels
