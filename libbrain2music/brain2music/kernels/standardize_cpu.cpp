#include <ATen/Parallel.h>

#include <algorithm>
#include <array>

#include "brain2music/kernels/columns.h"
#include "brain2music/kernels/standardize_body.h"
#include "brain2music/kernels/standardize_impl.h"

namespace brain2music::kernels {
namespace {

// Columns handled together: 400 scans of them stay in the second-level cache between the three passes.
constexpr int64_t block_width = 64;

// `adjacent`: voxels lie side by side, known at compile time so that the loops over them become vector code.
template <class Real, bool adjacent>
struct Columns {
  const Real* data;
  int64_t scan_stride;
  int64_t voxel_stride;

  Real at(int64_t scan, int64_t voxel) const {
    return data[scan * scan_stride + voxel * (adjacent ? 1 : voxel_stride)];
  }
};

template <class Real, bool adjacent>
void standardize_block(Columns<Real, adjacent> x, Real* y, int64_t y_stride, int64_t scans, int64_t width) {
  std::array<double, block_width> mean{};
  std::array<double, block_width> squares{};
  std::array<double, block_width> scale{};
  std::array<unsigned char, block_width> varies{};
  for (int64_t scan = 0; scan < scans; ++scan) {
    for (int64_t c = 0; c < width; ++c) {
      mean[c] += static_cast<double>(x.at(scan, c));
      varies[c] |= x.at(scan, c) != x.at(0, c) ? 1 : 0;
    }
  }
  for (int64_t c = 0; c < width; ++c) {
    mean[c] /= static_cast<double>(scans);
  }
  for (int64_t scan = 0; scan < scans; ++scan) {
    for (int64_t c = 0; c < width; ++c) {
      squares[c] = add_squared_distance(squares[c], static_cast<double>(x.at(scan, c)), mean[c]);
    }
  }
  for (int64_t c = 0; c < width; ++c) {
    scale[c] = standard_scale(varies[c] != 0, squares[c], scans);
  }
  for (int64_t scan = 0; scan < scans; ++scan) {
    for (int64_t c = 0; c < width; ++c) {
      y[scan * y_stride + c] = standardized(x.at(scan, c), mean[c], scale[c]);
    }
  }
}

template <class Real, bool adjacent>
void standardize_run(const RunColumns<Real>& run) {
  const int64_t blocks = (run.voxels + block_width - 1) / block_width;
  at::parallel_for(0, blocks, 1, [&](int64_t first_block, int64_t last_block) {
    for (int64_t block = first_block; block < last_block; ++block) {
      const int64_t first = block * block_width;
      const Columns<Real, adjacent> columns{run.x + first * run.voxel_stride, run.scan_stride, run.voxel_stride};
      standardize_block(columns, run.y + first, run.voxels, run.scans, std::min(block_width, run.voxels - first));
    }
  });
}

}  // namespace

at::Tensor standardize_cpu(const at::Tensor& x, at::IntArrayRef run_lengths) {
  return for_each_run(x, run_lengths, [&]<class Real>(const RunColumns<Real>& run) {
    if (run.voxel_stride == 1) {
      standardize_run<Real, true>(run);
    } else {
      standardize_run<Real, false>(run);
    }
  });
}

}  // namespace brain2music::kernels
