#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "brain2music/kernels/columns.h"
#include "brain2music/kernels/standardize_impl.h"
#include "brain2music/kernels/standardize_launch.h"

namespace brain2music::kernels {

at::Tensor standardize_cuda(const at::Tensor& x, at::IntArrayRef run_lengths) {
  const c10::cuda::CUDAGuard guard(x.device());
  return for_each_run(x, run_lengths, [&](const auto& run) {
    C10_CUDA_CHECK(launch_standardize(run.x, run.scan_stride, run.voxel_stride, run.y, run.scans, run.voxels,
                                      at::cuda::getCurrentCUDAStream()));
  });
}

}  // namespace brain2music::kernels
