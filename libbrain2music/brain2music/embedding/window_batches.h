#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "brain2music/embedding/embedder.h"
#include "brain2music/embedding/windows.h"
#include "brain2music/models/bundle.h"

namespace brain2music::embedding {

/// How the windows of clips are given to a network.
struct WindowBatches {
  const char* where;      ///< what messages are signed with
  WindowOptions windows;  ///< of each clip
  int64_t size;           ///< windows that the network is given at once
  at::Device device;      ///< where the network runs
};

/// Runs on windows (B, samples) float32; `clips` (B,) are the indices of the clips that they are cut from.
using WindowNetwork = std::function<void(const at::Tensor& windows, at::IntArrayRef clips)>;

/// The windows that a role is given.
/// @param role    one that takes music.
/// @param options hop, and length where it is shorter than the role's own.
/// @param where   signs the message.
/// @throws std::invalid_argument where a window is longer than the role's own.
WindowOptions windows_of(const models::Role& role, const EmbedOptions& options, const char* where);

/// The number of windows that clip_windows() cuts a clip into; throws what clip_windows() throws.
int64_t clip_window_count(const Clip& clip, const WindowOptions& options);

/// Whether no value is NaN or Inf.
bool is_finite(const at::Tensor& values);

/// Gives the windows of all clips to a network, batch by batch, in the order of the clips. A batch may hold windows of
/// several clips.
/// @throws std::invalid_argument naming the clip that cannot be cut into windows, or is not finite.
void for_window_batches(const std::vector<Clip>& clips, const WindowBatches& batches, const WindowNetwork& network);

}  // namespace brain2music::embedding
