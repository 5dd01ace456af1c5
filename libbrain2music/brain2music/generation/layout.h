#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "brain2music/export.h"
#include "brain2music/models/manifest.h"

namespace brain2music::generation {

/// Frames of so many seconds: the last may hold music beyond them.
B2M_API int64_t frame_count(double seconds, double frame_rate);

/// The frames of one sequence of a stage: those before `fresh` are known from the sequence before.
struct StageWindow {
  int64_t first = 0;
  int64_t fresh = 0;
  int64_t end = 0;
};

/// The sequences that make so many seconds of music.
B2M_API std::vector<StageWindow> stage_windows(const models::Stage& stage, double seconds);

/// Positions that a window's sequence draws: the steps of its network.
B2M_API int64_t step_count(const models::Stage& stage, const StageWindow& window);

/// Codes that a stage reads.
struct CodeSource {
  at::Tensor codes;       ///< (B, levels, frames) int64: of the piece for a stage; of the window's frames for the
                          ///< conditioner, or of one frame that holds for all of the window
  double frame_rate = 0;  ///< of a stage; 0 for the conditioner
};

/// The frames of a source that lie within a window of a stage.
struct FrameSpan {
  int64_t first = 0;
  int64_t end = 0;
};
B2M_API FrameSpan source_frames(const models::Stage& stage, const StageWindow& window, double source_rate);

/// The codes of a source for each frame of a window, of a stage that reads them frame by frame: those of the source's
/// frame in which a frame of the stage begins.
/// @return (B, levels, frames of the window), or (B, levels, 1) where one frame of the conditioner holds for all.
B2M_API at::Tensor codes_by_frame(const models::Stage& stage, const StageWindow& window, const CodeSource& source);

/// One sequence, laid out as the manifest says. `rows` are 1 for the family tokens and the stage's levels for the
/// family parallel; `given` rows stand above them.
struct SequencePlan {
  at::Tensor grid;       ///< (B, given + rows, T) int64: ids, where they are known; else 0
  at::Tensor known;      ///< (rows, T) bool: cells that are not drawn
  at::Tensor ranges;     ///< (T, rows, 2) int64: the first id and the one behind the last that may be drawn in a cell
  at::Tensor row_of;     ///< (levels, frames) int64: the row that a code of the window stands in
  at::Tensor column_of;  ///< (levels, frames) int64: its position
  at::Tensor offsets;    ///< (levels, 1) int64: id of code 0
  bool tokens = false;   ///< of the family tokens: the one row is fed as (B, T)
  int64_t given = 0;     ///< rows of other stages and the conditioner
  int64_t lead = 0;      ///< positions from the beginning in which every cell is known
};

/// Lays out one sequence of a stage of the families tokens and parallel.
/// @param stage         what the manifest says
/// @param window        its frames
/// @param sources       what it reads, by name ("conditioner" or a stage), on one device
/// @param before        (B, levels, fresh - first) int64: codes of the window's known frames
/// @param unconditional the prefix of guidance's other half
/// @throws std::invalid_argument when the sequence is longer than the stage's max_length.
B2M_API SequencePlan plan_sequence(const models::Stage& stage, const StageWindow& window,
                                   const std::map<std::string, CodeSource>& sources, const at::Tensor& before,
                                   bool unconditional = false);

/// The codes of a window's frames [from, to), read back from a grid.
/// @return (B, levels, to - from) int64
B2M_API at::Tensor codes_in(const SequencePlan& plan, const at::Tensor& grid, int64_t from, int64_t to);

}  // namespace brain2music::generation
