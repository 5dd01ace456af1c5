#include "brain2music/signal/detrend.h"

#include <cmath>

#include "brain2music/check.h"
#include "brain2music/kernels/median_filter.h"
#include "brain2music/signal/bold.h"

namespace brain2music::signal {
namespace {

constexpr auto where = "signal.median_detrend";

}  // namespace

int64_t window_scans(double tr, double window) {
  require(std::isfinite(tr) && tr > 0, where, "tr must be a positive number of seconds; got ", tr);
  require(std::isfinite(window) && window > 0, where, "window must be a positive number of seconds; got ", window);
  constexpr double rounding = 1e-9;  // 240 / (2 * 0.8) may come out a hair below 150
  const double half = std::floor(window / (2 * tr) * (1 + rounding));
  require(half >= 1 && half < 1e9, where, "window must span at least three scans (and fewer than 2e9); got ", window,
          " s at a TR of ", tr, " s");
  return 2 * static_cast<int64_t>(half) + 1;
}

at::Tensor median_detrend(const at::Tensor& bold, double tr, double window, at::IntArrayRef run_lengths,
                          const std::optional<at::Tensor>& sample_mask) {
  const int64_t size = window_scans(tr, window);
  return kernels::median_filter(checked_bold(bold, run_lengths, where), size, run_lengths,
                                kernels::MedianOutput::residual, sample_mask);
}

}  // namespace brain2music::signal
