#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "brain2music/export.h"

namespace brain2music::audio {

/// What librosa.feature.melspectrogram takes, under its defaults.
struct LogMelOptions {
  int64_t rate = 22050;  ///< Hz
  int64_t n_fft = 2048;  ///< samples of the periodic Hann window
  int64_t hop = 512;     ///< samples from frame to frame
  int64_t n_mels = 128;  ///< bands
  double f_min = 0;      ///< Hz
  double f_max = 0;      ///< Hz; 0: half the rate
  double floor = 1e-10;  ///< power below which the logarithm is not taken
};

/// Mel bands on Slaney's scale, each of unit area: librosa.filters.mel.
/// @return (n_mels, n_fft / 2 + 1) float32 on the CPU.
/// @throws std::invalid_argument when the options do not fit together, or a band holds no frequency of the transform.
B2M_API at::Tensor mel_filters(const LogMelOptions& options);

/// Log-mel spectrogram in dB: librosa.power_to_db(librosa.feature.melspectrogram(waveform), ref=1, top_db=None). Frame
/// t is centred on sample t * hop; beyond the ends there is silence.
///
/// @param waveform (..., samples) float32 or float64 at options.rate, on CPU or CUDA.
/// @param options  the transform and its bands.
/// @return (..., n_mels, 1 + samples / hop), of the type and on the device of `waveform`.
/// @throws std::invalid_argument on another type or shape, and as mel_filters() does.
B2M_API at::Tensor log_mel(const at::Tensor& waveform, const LogMelOptions& options = {});

}  // namespace brain2music::audio
