#pragma once

#include <ATen/core/Tensor.h>

#include "brain2music/ridge/design.h"
#include "brain2music/ridge/options.h"
#include "brain2music/ridge/problem.h"

namespace brain2music::ridge {

/// Averaged over folds.
struct Scores {
  at::Tensor chosen_by;    // (penalties, t) float64: by what the penalty is chosen
  at::Tensor correlation;  // (penalties, t) float64
};

Scores score(const Problem& problem, const Design& design, const Tile& tile, Scoring scoring);

}  // namespace brain2music::ridge
