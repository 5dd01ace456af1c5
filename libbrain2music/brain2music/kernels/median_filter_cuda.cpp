#include <ATen/cuda/CUDAContext.h>
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
void filter_run(const RunColumns<Real>& run, int64_t size, MedianOutput output, const bool* kept) {
  const ReflectedRun reflected{run.scans, size / 2};
  const MedianPlan plan = MedianPlan::make(reflected, sizeof(Real), shared_bytes);
  require(plan.columns > 0, "kernels.median_filter",
          "window too long for a CUDA block's shared memory; got a window of ", size, " scans, which needs ",
          plan.column_bytes, " of ", shared_bytes, " bytes (the CPU takes any window)");
  const MedianBlock<Real> work{
      run.x, run.scan_stride, run.voxel_stride, run.y, run.voxels, reflected, plan, output == MedianOutput::residual,
      kept};
  C10_CUDA_CHECK(launch_median_filter(work, at::cuda::getCurrentCUDAStream()));
}

}  // namespace

at::Tensor median_filter_cuda(const at::Tensor& x, int64_t size, at::IntArrayRef run_lengths, MedianOutput output,
                              const bool* kept) {
  const c10::cuda::CUDAGuard guard(x.device());
  return for_each_run(x, run_lengths, [&](const auto& run) {
    filter_run(run, size, output, kept == nullptr ? nullptr : kept + run.first);
  });
}

}  // namespace brain2music::kernels
