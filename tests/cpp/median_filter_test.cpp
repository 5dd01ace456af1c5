#include "brain2music/kernels/median_filter.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/nan_to_num.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <limits>
#include <string>
#include <vector>

#include "brain2music/kernels/median_filter_tile.h"
#include "brain2music/kernels/standardize.h"
#include "catch.h"
#include "oracle.h"

using brain2music::kernels::median_filter;
using brain2music::kernels::MedianBlock;
using brain2music::kernels::MedianOutput;
using brain2music::kernels::MedianPlan;
using brain2music::kernels::MedianTileShape;
using brain2music::kernels::ReflectedRun;
using brain2music::kernels::standardize;

namespace {

const std::vector<int64_t> run_lengths{400, 161, 90};

/// The CUDA kernel's grid, thread by thread, with its own plan, memory and arithmetic; a loop stands for a barrier.
template <class Real>
at::Tensor filter_as_a_gpu_would(const at::Tensor& x, int64_t size, int64_t shared_bytes, const bool* kept = nullptr) {
  const ReflectedRun run{x.size(0), size / 2};
  const MedianPlan plan = MedianPlan::make(run, sizeof(Real), shared_bytes);
  REQUIRE(plan.columns > 0);
  REQUIRE(plan.block_bytes() <= shared_bytes);
  at::Tensor y = at::zeros(x.sizes(), x.options());
  const MedianBlock<Real> work{
      x.const_data_ptr<Real>(), x.stride(0), x.stride(1), y.mutable_data_ptr<Real>(), x.size(1), run, plan,
      /*residual=*/false,       kept};
  const int threads = plan.columns * MedianTileShape::lanes;
  std::vector<std::uint64_t> words(plan.block_bytes() / 8, ~std::uint64_t{0});  // never zero by luck
  char* memory = reinterpret_cast<char*>(words.data());
  for (int64_t block = 0; block * plan.columns < x.size(1); ++block) {
    for (int64_t tile = 0; tile * plan.outputs < run.scans; ++tile) {
      REQUIRE(MedianTileShape::of(run, plan.outputs, tile).samples <= plan.samples);
      for (int thread = 0; thread < threads; ++thread) {
        work.load(block, tile, thread, threads, memory);
      }
      for (int thread = 0; thread < threads; ++thread) {
        work.rank(block, tile, thread, memory);
      }
      for (int thread = 0; thread < threads; ++thread) {
        work.filter(block, tile, thread, memory);
      }
    }
  }
  return y;
}

/// Equal to the last bit, NaN at the same places.
bool same_or_nan(const at::Tensor& result, const at::Tensor& expected) {
  const at::Tensor here = result.cpu();
  return at::equal(at::isnan(here), at::isnan(expected)) && identical(at::nan_to_num(here), at::nan_to_num(expected));
}

}  // namespace

TEST_CASE("median_filter equals scipy.ndimage.median_filter to the last bit", "[kernels][cuda]") {
  for (const std::string type : {"float32", "float64"}) {
    const at::Tensor bold = oracle(type + "_bold");
    const at::Tensor trend = oracle(type + "_trend");
    for (const at::Device device : devices()) {
      const at::Tensor x = bold.to(device);
      CHECK(identical(median_filter(x, 161, run_lengths), trend));
      CHECK(identical(median_filter(x, 161, run_lengths, MedianOutput::residual), bold - trend));
      const at::Tensor by_voxel = x.t().contiguous().t();
      CHECK(identical(median_filter(by_voxel, 161, run_lengths), trend));
    }
  }
  for (const std::string scans : {"401", "1000"}) {
    for (const at::Device device : devices()) {
      CHECK(identical(median_filter(oracle("long" + scans + "_bold").to(device), 161),
                      oracle("long" + scans + "_trend")));
    }
  }
}

TEST_CASE("the GPU's tiles, run on the CPU, equal scipy.ndimage.median_filter", "[kernels]") {
  const int64_t shared_bytes = 48 * 1024;
  for (const std::string scans : {"401", "1000"}) {
    CHECK(identical(filter_as_a_gpu_would<float>(oracle("long" + scans + "_bold"), 161, shared_bytes),
                    oracle("long" + scans + "_trend")));
  }
  int64_t first = 0;
  for (const int64_t scans : run_lengths) {
    const auto run = [&](const std::string& name) { return oracle(name).narrow(0, first, scans); };
    CHECK(identical(filter_as_a_gpu_would<float>(run("float32_bold"), 161, shared_bytes), run("float32_trend")));
    CHECK(identical(filter_as_a_gpu_would<double>(run("float64_bold"), 161, shared_bytes), run("float64_trend")));
    first += scans;
  }
}

TEST_CASE("scans that are left out count in no median, and are NaN", "[kernels][cuda]") {
  for (const std::string scans : {"401", "1000"}) {
    const at::Tensor x = oracle("long" + scans + "_bold");
    const at::Tensor trend = oracle("long" + scans + "_kept_trend");
    const at::Tensor kept = oracle("long" + scans + "_kept").to(at::kBool);
    for (const at::Device device : devices()) {
      CHECK(same_or_nan(median_filter(x.to(device), 161, {}, MedianOutput::trend, kept), trend));
      CHECK(same_or_nan(median_filter(x.to(device), 161, {}, MedianOutput::residual, kept), x - trend));
    }
    CHECK(same_or_nan(filter_as_a_gpu_would<float>(x, 161, 48 * 1024, kept.const_data_ptr<bool>()), trend));
  }
  const at::Tensor x = at::zeros({10, 3});
  CHECK_THROWS_WITH(median_filter(x, 3, {}, MedianOutput::trend, at::ones({9}, at::kBool)),
                    ContainsSubstring("kept must be bool, one for each of 10 scans; got Bool of shape [9]"));
}

TEST_CASE("a block takes eight columns of the study's runs, and none where the window is too long", "[kernels]") {
  const int64_t shared_bytes = 48 * 1024;
  CHECK(MedianPlan::make({400, 80}, 4, shared_bytes).columns == 8);
  CHECK(MedianPlan::make({100'000, 20'000}, 4, shared_bytes).columns == 0);
}

TEST_CASE("standardize equals scipy.stats.zscore, constant columns becoming 0", "[kernels][cuda]") {
  for (const std::string type : {"float32", "float64"}) {
    const at::Tensor expected = oracle(type + "_zscored");
    const double tolerance = type == "float32" ? 1e-6 : 1e-12;
    for (const at::Device device : devices()) {
      const at::Tensor x = oracle(type + "_bold").to(device);
      for (const at::Tensor& layout : {x, x.t().contiguous().t()}) {
        const at::Tensor z = standardize(layout, run_lengths);
        CHECK(z.scalar_type() == x.scalar_type());
        CHECK(at::allclose(z.cpu().to(at::kDouble), expected.to(at::kDouble), tolerance, tolerance));
      }
    }
  }
}

TEST_CASE("kernels refuse what they cannot take, whoever calls", "[kernels]") {
  const at::Tensor x = at::zeros({10, 3});
  CHECK_THROWS_WITH(median_filter(x.select(0, 0), 3), ContainsSubstring("(scans, voxels); got shape [3]"));
  CHECK_THROWS_WITH(median_filter(x.to(at::kInt), 3), ContainsSubstring("got Int"));
  CHECK_THROWS_WITH(median_filter(x, 4), ContainsSubstring("odd number of scans; got 4"));
  CHECK_THROWS_WITH(median_filter(x, 3, {4, 4}), ContainsSubstring("add up to the 10 scans of x; got 8: [4, 4]"));
  CHECK_THROWS_WITH(median_filter(x, 3, {10, 0}), ContainsSubstring("at least one scan; got a run of 0"));
  CHECK_THROWS_AS(standardize(x, {11}), std::invalid_argument);
  CHECK_THROWS_WITH(median_filter(x, 3, {std::numeric_limits<int64_t>::max(), 12}), ContainsSubstring("got more"));
  CHECK_THROWS_WITH(median_filter(x, (int64_t{1} << 62) + 1), ContainsSubstring("at most 16777217 scans"));
  for (const at::Device device : devices()) {
    for (const std::vector<int64_t>& shape : {std::vector<int64_t>{10, 0}, std::vector<int64_t>{0, 3}}) {
      CHECK(median_filter(at::zeros(shape, device), 3).sizes().vec() == shape);
      CHECK(standardize(at::zeros(shape, device)).sizes().vec() == shape);
    }
  }
}
