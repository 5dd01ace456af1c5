#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "brain2music/export.h"

namespace brain2music::generation {

/// Music that was made.
struct Music {
  at::Tensor waveform;  ///< (q, samples, channels, time) float32; full scale is 1, which it may exceed
  int64_t rate = 0;     ///< samples a second
};

/// Music that is made block by block, by MusicGenerator::stream(). Copies are one stream: each block is given once.
class B2M_API MusicStream {
 public:
  /// Makes the next block.
  /// @return it, or nothing behind the end.
  /// @throws what MusicGenerator::generate() does.
  std::optional<Music> next();

 private:
  friend class MusicGenerator;
  struct State;
  explicit MusicStream(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace brain2music::generation
