#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "brain2music/export.h"

namespace brain2music::embedding {

/// Music to be embedded: one clip of it.
struct Clip {
  std::string name;      ///< what messages call it
  at::Tensor waveform;   ///< (samples,) or (channels, samples), of a floating type; full scale is 1
  int64_t rate = 22050;  ///< samples a second
};

/// Windows that move over a clip.
struct WindowOptions {
  int64_t rate = 22050;  ///< samples a second of the windows; clips of another rate are resampled
  double window = 10;    ///< seconds
  double hop = 1.5;      ///< seconds from one window's start to the next; a scan in the study
  double filled = 0;     ///< seconds that a shorter window is repeated to fill; 0: windows stay as they are
};

/// How many windows fit into a clip (r of the paper's Table 1). A window that ends after the clip by no more than a
/// tenth of a hop counts: a clip of 14.99 s has the windows of one of 15 s.
///
/// @param seconds length of the clip.
/// @param window  length of a window in seconds.
/// @param hop     seconds from one window's start to the next.
/// @return 0 for a clip shorter than a window.
/// @throws std::invalid_argument unless all are positive and finite.
B2M_API int64_t window_count(double seconds, double window, double hop);

/// Cuts a clip into windows: mean of the channels, resampled, and silence where the last window ends after the clip.
/// Values are not looked at.
///
/// @param clip    the music, on any device.
/// @param options which windows.
/// @return one tensor (samples,) float32 for each window, on the clip's device; windows that are not repeated share
///         memory.
/// @throws std::invalid_argument naming the clip when it is shorter than a window, of another shape or no floating
/// type.
B2M_API std::vector<at::Tensor> clip_windows(const Clip& clip, const WindowOptions& options);

}  // namespace brain2music::embedding
