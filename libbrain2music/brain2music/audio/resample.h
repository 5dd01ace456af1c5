#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "brain2music/export.h"

namespace brain2music::audio {

/// The low-pass filter of resample(): a sinc under a Kaiser window. The defaults are those that resampy and torchaudio
/// call "kaiser best".
struct ResampleOptions {
  int64_t zero_crossings = 64;          ///< of the sinc, on each side; more is sharper and slower
  double rolloff = 0.9475937167399596;  ///< cutoff as a share of the lower Nyquist frequency
  double beta = 14.769656459379492;     ///< of the Kaiser window
};

/// Resamples by band-limited interpolation: torchaudio.functional.resample with method "sinc_interp_kaiser".
///
/// @param waveform (..., samples) float32 or float64 on CPU or CUDA.
/// @param from     rate of `waveform` in Hz.
/// @param to       rate of the result in Hz.
/// @param options  the filter.
/// @return (..., ceil(samples * to / from)), of the type and on the device of `waveform`; `waveform` itself when the
///         rates are equal.
/// @throws std::invalid_argument on rates that are not positive or another type.
B2M_API at::Tensor resample(const at::Tensor& waveform, int64_t from, int64_t to, const ResampleOptions& options = {});

}  // namespace brain2music::audio
