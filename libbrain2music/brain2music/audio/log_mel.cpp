#include "brain2music/audio/log_mel.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/hann_window.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/stft.h>

#include <cmath>
#include <vector>

#include "brain2music/check.h"

namespace brain2music::audio {
namespace {

constexpr auto where = "audio.log_mel";

// Slaney's Auditory Toolbox: linear up to 1 kHz (15 mels), logarithmic above, 27 steps to a factor of 6.4.
constexpr double linear_hz_per_mel = 200.0 / 3;
constexpr double break_hz = 1000;
constexpr double break_mel = break_hz / linear_hz_per_mel;
const double log_step = std::log(6.4) / 27;

double to_mel(double hz) {
  return hz < break_hz ? hz / linear_hz_per_mel : break_mel + std::log(hz / break_hz) / log_step;
}

double to_hz(double mel) {
  return mel < break_mel ? mel * linear_hz_per_mel : break_hz * std::exp(log_step * (mel - break_mel));
}

double highest_frequency(const LogMelOptions& options) {
  return options.f_max > 0 ? options.f_max : static_cast<double>(options.rate) / 2;
}

void check(const LogMelOptions& options) {
  require(options.rate > 0 && options.n_fft > 1 && options.hop > 0 && options.n_mels > 0, where,
          "rate, n_fft, hop and n_mels must be positive; got ", options.rate, ", ", options.n_fft, ", ", options.hop,
          ", ", options.n_mels);
  const double f_max = highest_frequency(options);
  require(options.f_min >= 0 && options.f_min < f_max && f_max <= static_cast<double>(options.rate) / 2, where,
          "frequencies must rise from f_min to f_max, at most half the rate; got ", options.f_min, " to ", f_max,
          " Hz at ", options.rate, " Hz");
  require(options.floor > 0, where, "floor must be positive; got ", options.floor);
}

}  // namespace

at::Tensor mel_filters(const LogMelOptions& options) {
  check(options);
  const auto bands = static_cast<std::size_t>(options.n_mels);
  const double low = to_mel(options.f_min);
  const double high = to_mel(highest_frequency(options));
  std::vector<double> edges(bands + 2);
  for (std::size_t i = 0; i < edges.size(); ++i) {
    edges[i] = to_hz(low + (high - low) * static_cast<double>(i) / static_cast<double>(edges.size() - 1));
  }
  const double bin_width = static_cast<double>(options.rate) / static_cast<double>(options.n_fft);
  for (std::size_t band = 0; band < bands; ++band) {
    const double first_bin = (std::floor(edges[band] / bin_width) + 1) * bin_width;
    require(first_bin < edges[band + 2], where, "every band must hold a frequency of the transform; got band ", band,
            " from ", edges[band], " to ", edges[band + 2], " Hz with n_fft ", options.n_fft, " at ", options.rate,
            " Hz: take fewer bands or a longer n_fft");
  }
  // Row by row by scalars, so that nothing here is a tensor of one device that meets another.
  const at::Tensor hz = at::arange(options.n_fft / 2 + 1, at::kDouble) * bin_width;
  std::vector<at::Tensor> rows;
  rows.reserve(bands);
  for (std::size_t band = 0; band < bands; ++band) {
    const double left = edges[band];
    const double centre = edges[band + 1];
    const double right = edges[band + 2];
    const at::Tensor triangle = at::minimum((hz - left) / (centre - left), (hz - right) / (centre - right));
    rows.push_back(triangle.clamp_min(0) * (2 / (right - left)));
  }
  return at::stack(rows).to(at::kFloat);
}

at::Tensor log_mel(const at::Tensor& waveform, const LogMelOptions& options) {
  require(waveform.dim() >= 1 && waveform.size(-1) > 0, where, "waveform must be (..., samples); got shape ",
          waveform.sizes());
  require(waveform.scalar_type() == at::kFloat || waveform.scalar_type() == at::kDouble, where,
          "waveform must be float32 or float64; got ", waveform.scalar_type());
  const at::NoTF32Guard all_bits;
  const at::Tensor filters = mel_filters(options).to(waveform.options());
  const int64_t half = options.n_fft / 2;
  const at::Tensor rows = at::constant_pad_nd(waveform.reshape({-1, waveform.size(-1)}), {half, half});
  const at::Tensor spectrum = at::stft(rows, options.n_fft, options.hop, options.n_fft,
                                       at::hann_window(options.n_fft, waveform.options()), /*normalized=*/false,
                                       /*onesided=*/true, /*return_complex=*/true);
  const at::Tensor power = spectrum.abs().square();
  const at::Tensor decibels = at::matmul(filters, power).clamp_min(options.floor).log10() * 10;
  std::vector<int64_t> shape = waveform.sizes().vec();
  shape.back() = options.n_mels;
  shape.push_back(decibels.size(-1));
  return decibels.reshape(shape);
}

}  // namespace brain2music::audio
