#include "brain2music/embedding/windows.h"

#include <ATen/ops/constant_pad_nd.h>
#include <c10/core/ScalarType.h>

#include <cmath>

#include "brain2music/audio/resample.h"
#include "brain2music/check.h"

namespace brain2music::embedding {
namespace {

constexpr auto where = "embedding.embed";

/// Of a hop: a clip of the study may lack 0.01 s, and a track of GTZAN another 0.1 s.
constexpr double shortfall = 0.1;

/// (samples,) float32.
at::Tensor mono(const Clip& clip) {
  const at::Tensor& waveform = clip.waveform;
  require(waveform.defined() && (waveform.dim() == 1 || waveform.dim() == 2), where,
          "a waveform must be (samples,) or (channels, samples); got shape ",
          waveform.defined() ? waveform.sizes() : at::IntArrayRef{}, " for ", clip.name);
  require(at::isFloatingType(waveform.scalar_type()), where,
          "a waveform must be of a floating type, full scale 1; got ", waveform.scalar_type(), " for ", clip.name,
          ": divide 16-bit samples by 32768");
  at::Tensor samples = waveform.detach().to(at::kFloat);
  if (samples.dim() == 1) {
    return samples;
  }
  require(samples.size(0) > 0 && samples.size(0) <= samples.size(1), where,
          "a waveform must be (channels, samples); got shape ", samples.sizes(), " for ", clip.name, ": transpose it");
  return samples.mean(0);
}

}  // namespace

int64_t window_count(double seconds, double window, double hop) {
  require(
      std::isfinite(seconds) && seconds >= 0 && std::isfinite(window) && window > 0 && std::isfinite(hop) && hop > 0,
      "embedding.window_count", "window and hop must be positive numbers of seconds; got ", seconds, ", ", window, ", ",
      hop);
  return std::max<int64_t>(0, static_cast<int64_t>(std::floor((seconds - window) / hop + shortfall)) + 1);
}

std::vector<at::Tensor> clip_windows(const Clip& clip, const WindowOptions& options) {
  require(clip.rate > 0 && options.rate > 0, where, "rates must be positive numbers of Hz; got ", clip.rate, " and ",
          options.rate, " for ", clip.name);
  const at::Tensor samples = mono(clip);
  const double seconds = static_cast<double>(samples.size(0)) / static_cast<double>(clip.rate);
  const int64_t count = window_count(seconds, options.window, options.hop);
  require(count > 0, where, "a clip must last at least one window of ", options.window, " s; got ", seconds, " s for ",
          clip.name);
  const at::Tensor resampled = audio::resample(samples, clip.rate, options.rate);
  const auto rate = static_cast<double>(options.rate);
  const int64_t length = std::llround(options.window * rate);
  const auto start = [&](int64_t window) { return std::llround(static_cast<double>(window) * options.hop * rate); };
  const int64_t missing = start(count - 1) + length - resampled.size(0);
  const at::Tensor whole = missing > 0 ? at::constant_pad_nd(resampled, {0, missing}) : resampled;
  std::vector<at::Tensor> windows;
  windows.reserve(static_cast<std::size_t>(count));
  for (int64_t window = 0; window < count; ++window) {
    windows.push_back(whole.narrow(0, start(window), length));
  }
  return windows;
}

}  // namespace brain2music::embedding
