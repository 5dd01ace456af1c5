#include <ATen/cuda/CUDAContext.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "brain2music/kernels/columns.h"
#include "brain2music/kernels/standardize_impl.h"
#include "brain2music/kernels/standardize_launch.h"

namespace brain2music::kernels {
namespace {

template <class Real>
void standardize_run(const at::Tensor& x, const at::Tensor& y, Run run) {
  const int64_t voxels = x.size(1);
  C10_CUDA_CHECK(launch_standardize(x.const_data_ptr<Real>() + run.first * x.stride(0), x.stride(0), x.stride(1),
                                    y.mutable_data_ptr<Real>() + run.first * voxels, run.scans, voxels,
                                    at::cuda::getCurrentCUDAStream()));
}

}  // namespace

at::Tensor standardize_cuda(const at::Tensor& x, at::IntArrayRef run_lengths) {
  const c10::cuda::CUDAGuard guard(x.device());
  at::Tensor y = at::empty(x.sizes(), x.options());
  if (x.numel() == 0) {
    return y;
  }
  for (const Run run : runs_of(run_lengths, x.size(0))) {
    if (x.scalar_type() == at::kFloat) {
      standardize_run<float>(x, y, run);
    } else {
      standardize_run<double>(x, y, run);
    }
  }
  return y;
}

}  // namespace brain2music::kernels
