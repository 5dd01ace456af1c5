#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "brain2music/generation/code_writer.h"
#include "brain2music/generation/layout.h"
#include "brain2music/generation/step_graph.h"
#include "brain2music/kernels/sample_tokens.h"
#include "brain2music/models/script.h"

namespace brain2music::generation {

/// How the codes of a sequence are drawn.
struct Draw {
  kernels::SampleOptions options;
  double guidance = 1;
  int64_t seed = 0;
  int64_t first_step = 0;  ///< of the random numbers: one for each position of a stage's sequences, one after the other
  at::Tensor streams;      ///< (B rows,) int64: of the random numbers
};

/// A sequence to be written: its plan, and the condition that init_state is given, if any.
struct SequenceStart {
  SequencePlan plan;
  std::optional<at::Tensor> condition;
};

/// One sequence of a stage of the families tokens and parallel while it is written. A step is a position.
class Sequence final : public CodeWriter {
 public:
  /// Makes the network's state and feeds it what is known.
  /// @param stage the network
  /// @param start what is written
  /// @param other guidance's other half; none where guidance is 1
  /// @param draw  how codes are drawn
  Sequence(LoadedStage stage, SequenceStart start, std::optional<SequenceStart> other, Draw draw);
  ~Sequence() override;

  int64_t frames_ready() const override;
  bool done() const override { return next_ >= length_; }
  void step() override;
  at::Tensor codes(int64_t from, int64_t to) const override;

 private:
  struct Pass;

  void feed_known();
  at::Tensor drawn(const std::vector<at::Tensor>& fed, const at::Tensor& ranges);
  void write_on_device();
  void write_on_host();
  [[noreturn]] void failed() const;

  LoadedStage stage_;
  SequencePlan plan_;
  Draw draw_;
  std::vector<std::unique_ptr<Pass>> passes_;
  int64_t batch_;
  int64_t rows_;
  int64_t length_;
  int64_t next_;                      // the position that the next step writes
  at::Tensor counter_;                // the random numbers' step
  at::Tensor failed_;                 // () bool: no code of some row could be drawn
  std::vector<int64_t> last_;         // of each frame, the last position that holds a code of it or of a frame before
  std::unique_ptr<StepGraph> graph_;  // on a GPU
};

}  // namespace brain2music::generation
