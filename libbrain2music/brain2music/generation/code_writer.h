#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "brain2music/models/manifest.h"
#include "brain2music/models/script.h"

namespace brain2music::generation {

/// A stage's network.
struct LoadedStage {
  const models::Stage* about;
  std::shared_ptr<const models::Script> script;
  bool capturable = false;  ///< a CUDA graph may hold its step
};

/// Writes the codes of one window of a stage, all rows of a batch together.
class CodeWriter {
 public:
  CodeWriter() = default;
  virtual ~CodeWriter() = default;
  CodeWriter(const CodeWriter&) = delete;
  CodeWriter& operator=(const CodeWriter&) = delete;

  /// Frames of the window whose codes all stand, from the first on.
  virtual int64_t frames_ready() const = 0;

  /// Whether every code is written.
  virtual bool done() const = 0;

  /// Writes what one step of the network gives.
  /// @throws std::runtime_error when no code of a row can be drawn.
  virtual void step() = 0;

  /// Codes of the window's frames [from, to): (B, levels, to - from).
  virtual at::Tensor codes(int64_t from, int64_t to) const = 0;
};

}  // namespace brain2music::generation
