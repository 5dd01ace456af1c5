#include <ATen/cuda/CUDAContext.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "brain2music/check.h"
#include "brain2music/kernels/columns.h"
#include "brain2music/kernels/median_filter_impl.h"
#include "brain2music/kernels/median_filter_launch.h"

namespace brain2music::kernels {
namespace {

constexpr int64_t shared_bytes = 48 * 1024;  // what every GPU gives a block unasked

template <class Real>
void filter_run(const at::Tensor& x, const at::Tensor& y, Run run, int64_t size, MedianOutput output) {
  const ReflectedRun reflected{run.scans, size / 2};
  const MedianPlan plan = MedianPlan::make(reflected, sizeof(Real), shared_bytes);
  require(plan.columns > 0, "kernels.median_filter",
          "window too long for a CUDA block's shared memory; got a window of ", size, " scans, which needs ",
          plan.column_bytes, " of ", shared_bytes, " bytes (the CPU takes any window)");
  const int64_t voxels = x.size(1);
  const MedianBlock<Real> work{x.const_data_ptr<Real>() + run.first * x.stride(0),
                               x.stride(0),
                               x.stride(1),
                               y.mutable_data_ptr<Real>() + run.first * voxels,
                               voxels,
                               reflected,
                               plan,
                               output == MedianOutput::residual};
  C10_CUDA_CHECK(launch_median_filter(work, at::cuda::getCurrentCUDAStream()));
}

}  // namespace

at::Tensor median_filter_cuda(const at::Tensor& x, int64_t size, at::IntArrayRef run_lengths, MedianOutput output) {
  const c10::cuda::CUDAGuard guard(x.device());
  at::Tensor y = at::empty(x.sizes(), x.options());
  if (x.numel() == 0) {
    return y;
  }
  for (const Run run : runs_of(run_lengths, x.size(0))) {
    if (x.scalar_type() == at::kFloat) {
      filter_run<float>(x, y, run, size, output);
    } else {
      filter_run<double>(x, y, run, size, output);
    }
  }
  return y;
}

}  // namespace brain2music::kernels
