#include "brain2music/audio/resample.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv1d.h>
#include <ATen/ops/i0.h>
#include <ATen/ops/sinc.h>
#include <ATen/ops/sqrt.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "brain2music/check.h"

namespace brain2music::audio {
namespace {

constexpr auto where = "audio.resample";

/// One filter per phase of the output: (phases, 1, taps) in float64, and how far a filter reaches on each side.
struct Filters {
  at::Tensor taps;
  int64_t reach;
};

Filters make_filters(int64_t from, int64_t to, const ResampleOptions& options, at::Device device) {
  const auto real = at::TensorOptions().dtype(at::kDouble).device(device);
  const auto crossings = static_cast<double>(options.zero_crossings);
  const double cutoff = static_cast<double>(std::min(from, to)) * options.rolloff;
  const auto reach = static_cast<int64_t>(std::ceil(crossings * static_cast<double>(from) / cutoff));
  const at::Tensor source = at::arange(-reach, reach + from, real) / static_cast<double>(from);
  const at::Tensor phase = at::arange(0, -to, -1, real) / static_cast<double>(to);
  const at::Tensor time = ((phase.unsqueeze(1) + source) * cutoff).clamp(-crossings, crossings);
  const at::Tensor window =
      at::i0(at::sqrt(1 - (time / crossings).square()) * options.beta) / at::i0(at::arange(1, real) + options.beta);
  return {(at::sinc(time) * window * (cutoff / static_cast<double>(from))).unsqueeze(1), reach};
}

}  // namespace

at::Tensor resample(const at::Tensor& waveform, int64_t from, int64_t to, const ResampleOptions& options) {
  require(from > 0 && to > 0, where, "rates must be positive numbers of Hz; got ", from, " and ", to);
  require(waveform.dim() >= 1, where, "waveform must be (..., samples); got shape ", waveform.sizes());
  require(waveform.scalar_type() == at::kFloat || waveform.scalar_type() == at::kDouble, where,
          "waveform must be float32 or float64; got ", waveform.scalar_type());
  require(options.zero_crossings > 0 && options.rolloff > 0 && options.rolloff <= 1 && options.beta >= 0, where,
          "zero_crossings must be positive, rolloff in (0, 1], beta not negative; got ", options.zero_crossings, ", ",
          options.rolloff, ", ", options.beta);
  if (from == to) {
    return waveform;
  }
  const int64_t divisor = std::gcd(from, to);
  from /= divisor;
  to /= divisor;
  const Filters filters = make_filters(from, to, options, waveform.device());
  const int64_t samples = waveform.size(-1);
  const at::Tensor rows = waveform.reshape({-1, 1, samples});
  const at::Tensor padded = at::constant_pad_nd(rows, {filters.reach, filters.reach + from});
  // Every `from` input samples give `to` output samples, one from each filter. A GPU would do float32 with 10 of 23
  // bits.
  const at::ScalarType type = waveform.is_cuda() ? at::kDouble : waveform.scalar_type();
  const at::Tensor phases = at::conv1d(padded.to(type), filters.taps.to(type), {}, from).to(waveform.scalar_type());
  const int64_t length = (samples * to + from - 1) / from;
  std::vector<int64_t> shape = waveform.sizes().vec();
  shape.back() = length;
  return phases.transpose(1, 2).reshape({rows.size(0), -1}).narrow(1, 0, length).reshape(shape);
}

}  // namespace brain2music::audio
