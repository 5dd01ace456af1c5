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
  /// The smallest step between two values of the file: 2^-15 for 16 bits, and for MP3, Ogg and other lossy files, which
  /// stand for 16 bits; 2^-23 for 24 bits; for floating point 2^-23 of the largest value that was read, but at least
  /// 2^-24. What is no larger is rounding, not sound.
  double step = 0;
};

/// Which part of a file to read, in seconds from its start; the end of the file where `stop` is not given.
struct AudioSpan {
  double start = 0;
  std::optional<double> stop;
};

/// Reads WAV, AU, AIFF, FLAC, OGG and whatever else libsndfile knows (MP3 from libsndfile 1.1 on).
///
/// A file is decoded to its end: its length is never an estimate. The containers of MP3, Ogg, FLAC, WAV (also RF64 and
/// Wave64), AU and AIFF are read here, frame by frame or page by page: MP3 without a header or with a wrong count,
/// files that were joined, Ogg in several links, FLAC of unknown length and sizes that a pipe or a killed recorder left
/// behind give all of their sound. A span is read without what follows it; FLAC, WAV, AU and AIFF are not decoded
/// before it either, the others are (a seek in them is not exact).
/// @throws std::runtime_error naming the file when it is no audio; when it is cut, as far as it can tell (fewer
/// samples,
///         frames or bytes than its header promises, an incomplete last frame or page, a gap, an Ogg stream without its
///         last page); when its rate or channels change; or when it ends before the span does.
///         std::invalid_argument when the span is empty or negative.
B2M_API Audio load_audio(const std::filesystem::path& path, const AudioSpan& span = {});

/// Writes (channels, samples) as 16-bit integers, through a temporary name that is then renamed: WAV or FLAC, as the
/// path ends in `.wav` or `.flac`.
/// @throws std::invalid_argument on another ending, and on values that are not finite or lie outside [-1, 1]: nothing
/// is
///         clipped in silence. std::runtime_error when the file cannot be written.
B2M_API void save_audio(const std::filesystem::path& path, const at::Tensor& waveform, int64_t rate);

/// Version of the libsndfile that is loaded, e.g. "1.2.0".
B2M_API std::string sndfile_version();

}  // namespace brain2music::io
