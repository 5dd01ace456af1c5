#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "brain2music/export.h"
#include "brain2music/models/manifest.h"
#include "brain2music/models/script.h"

namespace brain2music::models {

/// What a stage's network was found to do, where several ways are right.
struct StageFacts {
  bool rows_independent = false;  ///< each row of a batch has the bits that it has alone: tried with three rows
  bool capturable = false;        ///< whether a CUDA graph may hold a step: a call of `extend`, or a frame
  std::string obstacle;           ///< what keeps it out, e.g. "aten::item", or "state[0], which extend replaces"
};

/// Runs a stage's network on a few made-up tokens or frames. Shapes and types must be those of the manifest, all logits
/// finite; a second piece must equal the first. Logits must be equal to 1e-4 of the largest (to 16 roundings in a
/// narrower type, to 2e-3 with int8 weights):
///
/// - in the families `tokens` and `parallel`, for tokens at once, one by one, and some at once before others;
/// - in the family `frames`, whether `source` is called before every frame, some times, or only where its codes change,
///   and whether the levels of the frame before were gone through: a frame whose codes are known is told to `temporal`
///   alone.
/// @param stage          what the manifest says.
/// @param script         its network.
/// @param condition_size levels of the conditioner where the condition is codes, dimension of the embedding where it is
///                       the embedding; not read where the stage has no condition.
/// @param given          levels of each of Stage::sources(); not read in the family `tokens`.
/// @throws std::runtime_error naming the stage, the method, what was expected and what was found.
B2M_API StageFacts check_stage(const Stage& stage, const Script& script, int64_t condition_size,
                               const std::vector<int64_t>& given);

}  // namespace brain2music::models
