#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "brain2music/generation/code_writer.h"
#include "brain2music/generation/frame_layout.h"
#include "brain2music/generation/step_graph.h"
#include "brain2music/kernels/sample_tokens.h"

namespace brain2music::generation {

/// A window to be written by a stage of the family frames.
struct FrameStart {
  StageWindow window;
  FramePlan plan;
  at::Tensor before;                    ///< (B, levels, fresh - first) int64: codes of the window's known frames
  std::optional<at::Tensor> condition;  ///< of init_state
};

/// How the codes of frames are drawn.
struct FrameDraw {
  kernels::SampleOptions options;
  int64_t seed = 0;
  at::Tensor streams;  ///< (levels, B) int64: of the random numbers, whose step is the frame's number in the piece
};

/// One window of a stage of the family frames while it is written. A step is a frame: `source` where the codes of the
/// channels change, `temporal`, and `depth_first` or `depth_next` with a draw for each level. What is kept is the
/// network's state, whose size is the network's affair, and the codes.
class FrameSequence final : public CodeWriter {
 public:
  /// Makes the network's state and tells it the known frames.
  FrameSequence(LoadedStage stage, FrameStart start, FrameDraw draw);

  int64_t frames_ready() const override { return next_; }
  bool done() const override { return next_ >= frames_; }
  void step() override;
  at::Tensor codes(int64_t from, int64_t to) const override { return written_.narrow(2, from, to - from); }

 private:
  void tell_source();
  void tell_known(const at::Tensor& before);
  void write_frame();
  [[noreturn]] void failed() const;

  LoadedStage stage_;
  FramePlan plan_;
  FrameDraw draw_;
  int64_t frames_;
  int64_t next_ = 0;      // the frame that the next step writes
  std::size_t told_ = 0;  // entries of the plan that the network knows
  models::StageState state_;
  at::Tensor position_;               // () int64
  at::Tensor counter_;                // () int64, the random numbers' step
  at::Tensor failed_;                 // () bool: no code of some row could be drawn
  at::Tensor previous_;               // (B, levels)
  at::Tensor written_;                // (B, levels, frames)
  at::Tensor ranges_;                 // (levels, B, 2): of the codes that may be drawn
  std::unique_ptr<StepGraph> graph_;  // on a GPU: a frame
};

}  // namespace brain2music::generation
