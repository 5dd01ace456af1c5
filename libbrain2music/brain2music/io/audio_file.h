#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "brain2music/export.h"

namespace brain2music::io {

/// Sound that was read from a file.
struct Audio {
  at::Tensor waveform;  ///< (channels, samples) float32; full scale is 1
  int64_t rate = 0;     ///< samples a second
};

/// Which part of a file to read, in seconds from its start; the end of the file where `stop` is not given.
struct AudioSpan {
  double start = 0;
  std::optional<double> stop;
};

/// Reads WAV, AU, FLAC, OGG and whatever else libsndfile knows (MP3 from libsndfile 1.1 on).
/// @throws std::runtime_error naming the file when it is no audio, is cut short or ends before the span does;
///         std::invalid_argument when the span is empty or negative.
B2M_API Audio load_audio(const std::filesystem::path& path, const AudioSpan& span = {});

/// Writes (channels, samples) as WAV of 16-bit integers, through a temporary name that is then renamed.
/// @throws std::invalid_argument on values that are not finite or lie outside [-1, 1]: nothing is clipped in silence.
B2M_API void save_wav(const std::filesystem::path& path, const at::Tensor& waveform, int64_t rate);

/// Version of the libsndfile that is loaded, e.g. "1.2.0".
B2M_API std::string sndfile_version();

}  // namespace brain2music::io
