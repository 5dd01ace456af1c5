#include "brain2music/embedding/windows.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sum.h>
#include <c10/core/ScalarType.h>

#include <cmath>
#include <iterator>

#include "brain2music/audio/resample.h"
#include "brain2music/check.h"
#include "brain2music/embedding/window_batches.h"

namespace brain2music::embedding {
namespace {

constexpr auto where = "embedding.clip_windows";

/// Of a hop: a clip of the study may lack 0.01 s, and a track of GTZAN another 0.1 s.
constexpr double shortfall = 0.1;

void check_clip(const Clip& clip, const WindowOptions& options) {
  require(clip.rate > 0 && options.rate > 0, where, "rates must be positive numbers of Hz; got ", clip.rate, " and ",
          options.rate, " for ", clip.name);
  const at::Tensor& waveform = clip.waveform;
  require(waveform.defined() && (waveform.dim() == 1 || waveform.dim() == 2), where,
          "a waveform must be (samples,) or (channels, samples); got shape ",
          waveform.defined() ? waveform.sizes() : at::IntArrayRef{}, " for ", clip.name);
  require(at::isFloatingType(waveform.scalar_type()), where,
          "a waveform must be of a floating type, full scale 1; got ", waveform.scalar_type(), " for ", clip.name,
          ": divide 16-bit samples by 32768");
  require(waveform.dim() == 1 || (waveform.size(0) > 0 && waveform.size(0) <= waveform.size(1)), where,
          "a waveform must be (channels, samples); got shape ", waveform.sizes(), " for ", clip.name, ": transpose it");
}

/// (samples,) float32.
at::Tensor mono(const Clip& clip) {
  const at::Tensor samples = clip.waveform.detach().to(at::kFloat);
  return samples.dim() == 1 ? samples : samples.mean(0);
}

}  // namespace

int64_t window_count(double seconds, double window, double hop) {
  require(
      std::isfinite(seconds) && seconds >= 0 && std::isfinite(window) && window > 0 && std::isfinite(hop) && hop > 0,
      "embedding.window_count", "window and hop must be positive numbers of seconds; got ", seconds, ", ", window, ", ",
      hop);
  return std::max<int64_t>(0, static_cast<int64_t>(std::floor((seconds - window) / hop + shortfall)) + 1);
}

int64_t clip_window_count(const Clip& clip, const WindowOptions& options) {
  check_clip(clip, options);
  const double seconds = static_cast<double>(clip.waveform.size(-1)) / static_cast<double>(clip.rate);
  const int64_t count = window_count(seconds, options.window, options.hop);
  require(count > 0, where, "a clip must last at least one window of ", options.window, " s; got ", seconds, " s for ",
          clip.name);
  return count;
}

std::vector<at::Tensor> clip_windows(const Clip& clip, const WindowOptions& options) {
  const double sample = 1 / static_cast<double>(options.rate);
  require(options.window >= sample && options.hop >= sample, where, "window and hop must be a sample or more, ", sample,
          " s; got ", options.window, " and ", options.hop, " s");
  const int64_t count = clip_window_count(clip, options);
  const at::Tensor resampled = audio::resample(mono(clip), clip.rate, options.rate);
  const auto rate = static_cast<double>(options.rate);
  const int64_t length = std::llround(options.window * rate);
  const auto start = [&](int64_t window) { return std::llround(static_cast<double>(window) * options.hop * rate); };
  const int64_t missing = start(count - 1) + length - resampled.size(0);
  const at::Tensor whole = missing > 0 ? at::constant_pad_nd(resampled, {0, missing}) : resampled;
  std::vector<at::Tensor> windows;
  windows.reserve(static_cast<std::size_t>(count));
  const int64_t filled = std::max(length, static_cast<int64_t>(std::llround(options.filled * rate)));
  for (int64_t window = 0; window < count; ++window) {
    const at::Tensor cut = whole.narrow(0, start(window), length);
    windows.push_back(filled == length ? cut : cut.repeat({(filled + length - 1) / length}).narrow(0, 0, filled));
  }
  return windows;
}

bool is_finite(const at::Tensor& values) {
  // A sum is made in a tenth of the time, and is finite only if all values are; large ones may overflow it.
  return std::isfinite(values.sum().item<double>()) || at::isfinite(values).all().item<bool>();
}

void for_window_batches(const std::vector<Clip>& clips, const WindowBatches& batches, const WindowNetwork& network) {
  require(batches.size > 0, batches.where, "batch must be a positive number; got ", batches.size);
  std::vector<at::Tensor> waiting;
  std::vector<int64_t> owners;  // the clip of each window that waits
  const auto run = [&](int64_t count) {
    const auto taken = static_cast<std::size_t>(count);
    network(at::stack(at::TensorList(waiting).slice(0, taken)), at::IntArrayRef(owners).slice(0, taken));
    waiting.erase(waiting.begin(), waiting.begin() + count);
    owners.erase(owners.begin(), owners.begin() + count);
  };
  for (std::size_t i = 0; i < clips.size(); ++i) {
    check_clip(clips[i], batches.windows);
    const at::Tensor waveform = clips[i].waveform.to(batches.device);
    std::vector<at::Tensor> windows = clip_windows({clips[i].name, waveform, clips[i].rate}, batches.windows);
    require(is_finite(waveform), batches.where, "a waveform must be finite; got NaN or Inf for ", clips[i].name);
    owners.insert(owners.end(), windows.size(), static_cast<int64_t>(i));
    waiting.insert(waiting.end(), std::make_move_iterator(windows.begin()), std::make_move_iterator(windows.end()));
    while (std::ssize(waiting) >= batches.size) {
      run(batches.size);
    }
  }
  if (!waiting.empty()) {
    run(std::ssize(waiting));
  }
}

}  // namespace brain2music::embedding
