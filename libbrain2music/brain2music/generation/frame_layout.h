#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "brain2music/export.h"
#include "brain2music/generation/layout.h"
#include "brain2music/models/manifest.h"

namespace brain2music::generation {

/// What a stage of the family frames is told of its channels in one window.
struct FramePlan {
  /// Frames of the window, counted from its first, at which the codes of some row change; the first is 0.
  std::vector<int64_t> changes;
  at::Tensor channels;  ///< (changes, B, channels) int64: the codes from each of these frames on
};

/// Lays out the channels of one window, as the manifest says.
/// @param stage    what the manifest says.
/// @param window   its frames.
/// @param sources  what it reads, by name ("conditioner" or a stage), on one device.
/// @param guidance one that its codes reach.
/// @param beside   (B, ...) int64 on the device: as many rows are laid out.
B2M_API FramePlan plan_frames(const models::Stage& stage, const StageWindow& window,
                              const std::map<std::string, CodeSource>& sources, double guidance,
                              const at::Tensor& beside);

}  // namespace brain2music::generation
