#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>

#include <limits>
#include <string>
#include <vector>

#include "brain2music/signal/detrend.h"
#include "brain2music/signal/zscore.h"
#include "catch.h"
#include "oracle.h"

using brain2music::signal::median_detrend;
using brain2music::signal::window_scans;
using brain2music::signal::zscore;

namespace {

const std::vector<int64_t> run_lengths{400, 161, 90};

}  // namespace

TEST_CASE("the paper's window of 240 s is 161 scans at TR 1.5 s", "[signal]") {
  CHECK(window_scans(1.5, 240) == 161);
  CHECK(window_scans(0.8, 240) == 301);  // 150 scans either side, though 240 / 1.6 falls short of 150 in binary
  CHECK(window_scans(3.0, 240) == 81);
  CHECK_THROWS_WITH(window_scans(1.5, 2), ContainsSubstring("at least three scans"));
  CHECK_THROWS_WITH(window_scans(0, 240), ContainsSubstring("tr must be a positive number of seconds; got 0"));
  CHECK_THROWS_WITH(window_scans(1.5, std::numeric_limits<double>::quiet_NaN()), ContainsSubstring("window"));
}

TEST_CASE("median_detrend and zscore equal SciPy's, run by run", "[signal][cuda]") {
  const at::Tensor bold = oracle("float32_bold");
  for (const at::Device device : devices()) {
    const at::Tensor x = bold.to(device);
    CHECK(identical(median_detrend(x, 1.5, 240, run_lengths), bold - oracle("float32_trend")));
    CHECK(at::allclose(zscore(x, run_lengths).cpu(), oracle("float32_zscored").to(at::kFloat), 1e-6, 1e-6));
  }
}

TEST_CASE("types widen without loss", "[signal]") {
  const at::Tensor whole = oracle("float32_bold").round();
  const at::Tensor expected = median_detrend(whole);
  CHECK(identical(median_detrend(whole.to(at::kShort)), expected));
  CHECK(identical(median_detrend(whole.to(at::kInt)), median_detrend(whole.to(at::kDouble))));
  CHECK_THROWS_WITH(median_detrend(whole.to(at::kComplexFloat)), ContainsSubstring("real numbers"));
}

TEST_CASE("NaN and Inf are refused by scan and voxel", "[signal][cuda]") {
  for (const at::Device device : devices()) {
    for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      at::Tensor x = oracle("float32_bold").clone().to(device);
      x[3][17] = value;
      CHECK_THROWS_WITH(median_detrend(x), ContainsSubstring("at scan 3, voxel 17"));
      CHECK_THROWS_WITH(zscore(x), ContainsSubstring("[signal.zscore] bold must be finite; got "));
    }
    const at::Tensor huge = at::full({8, 4}, 3e38, at::kFloat).to(device);  // its sum overflows, its values do not
    CHECK(at::equal(median_detrend(huge), at::zeros_like(huge)));
  }
}
