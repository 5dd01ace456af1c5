#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "brain2music/generation/code_writer.h"
#include "brain2music/generation/layout.h"
#include "brain2music/generation/options.h"
#include "brain2music/models/bundle.h"

namespace brain2music::generation {

/// Stages, and levels of a stage, have random numbers of their own as long as they are no more than this.
constexpr int64_t most_numbered = 64;

/// The networks that write codes.
struct Networks {
  std::vector<LoadedStage> stages;
  std::shared_ptr<const models::Script> conditioner;  ///< may be none
  at::Device device = at::kCPU;
};

/// Embeddings of a batch: one for the piece, or a style track.
struct StyleTrack {
  at::Tensor values;  ///< (B, r, d) float32 on the device
  double window = 0;  ///< seconds; of no matter where r is 1
  double hop = 0;

  /// The embedding at a time, between the centres of two windows a mean of both, is averaged over frames [first, end).
  /// @return (B, d), or (B, end - first, d) with `each_frame`
  at::Tensor over(int64_t first, int64_t end, double frame_rate, bool each_frame) const;
};

/// Whether a stage reads the conditioner's codes, in its sequence or channels.
bool reads_conditioner(const models::Stage& stage);

/// How the codes of a stage are drawn: its defaults, then what all stages were given, then what it was given itself.
models::SamplingDefaults sampling_of(const models::Stage& stage, const GenerationOptions& options);

/// The codes of a batch of pieces while they are written, stage by stage, as far as they are asked for.
class Piece {
 public:
  /// @param networks what writes; held by reference
  /// @param track    embeddings of B pieces
  /// @param samples  (B,) numbers of the samples: each has random numbers of its own
  /// @param options  length and sampling; held by reference
  Piece(const Networks& networks, StyleTrack track, const std::vector<int64_t>& samples,
        const GenerationOptions& options);

  /// Codes of a stage that are written.
  int64_t frames_ready(std::size_t stage) const { return writings_[stage].ready; }
  const at::Tensor& codes(std::size_t stage) const { return writings_[stage].codes; }

  /// Does one step for a stage that is not finished: of that stage, or of one that it reads.
  void advance(std::size_t stage);

  /// Steps in all, and those done.
  int64_t steps() const { return steps_; }
  int64_t steps_done() const { return done_; }

 private:
  struct Writing {
    std::vector<StageWindow> windows;
    std::size_t window = 0;  // the next to begin, or the one that is written
    int64_t positions = 0;   // of the sequences before
    at::Tensor codes;        // (B, levels, frames)
    int64_t ready = 0;
    std::unique_ptr<CodeWriter> writer;
  };

  std::map<std::string, CodeSource> sources_of(const models::Stage& stage, const StageWindow& window) const;
  std::vector<std::size_t> stages_read(const models::Stage& stage) const;
  /// A stage whose codes must be written before this one's next sequence can begin.
  std::optional<std::size_t> missing_source(std::size_t stage) const;
  void begin(std::size_t stage);
  std::unique_ptr<CodeWriter> sequence(std::size_t stage, const StageWindow& window);
  std::unique_ptr<CodeWriter> frame_sequence(std::size_t stage, const StageWindow& window) const;
  /// What init_state is given; none where the stage has no condition.
  std::optional<at::Tensor> condition_of(const models::Stage& stage, const StageWindow& window) const;
  /// Numbers of the random numbers' streams: one for each row of a sample.
  static std::vector<int64_t> streams_of(std::size_t stage, int64_t sample, int64_t rows);
  at::Tensor quantized(const at::Tensor& embeddings) const;
  at::Tensor quantized_by_frame(const StageWindow& window, double frame_rate) const;

  const Networks& networks_;
  StyleTrack track_;
  std::vector<int64_t> samples_;
  const GenerationOptions& options_;
  std::vector<Writing> writings_;
  int64_t steps_ = 0;
  int64_t done_ = 0;
};

}  // namespace brain2music::generation
