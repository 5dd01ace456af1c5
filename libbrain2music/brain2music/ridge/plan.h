#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "brain2music/ridge/design.h"
#include "brain2music/ridge/options.h"

/// How many targets are worked on at once: as many as caches, or else the memory that may be taken, allow.
namespace brain2music::ridge {

/// What is held at once, in bytes: counted from what the solvers allocate, and held against measured peaks by tests.
struct Memory {
  int64_t results = 0;
  int64_t shared = 0;      // X, Gram matrices, what solvers keep
  int64_t per_target = 0;  // on each thread, for each target of a tile
};

/// Tells whether register tiles may make products with held-out rows: rows are few, and no fold has a gap.
bool packs_products(const Design& design);

Memory memory_of(Solver solver, const Design& design, const RidgeOptions& options, int64_t rows);

/// How many of `draws` draws of band weights are worked on at once: what they share takes a third of the memory that
/// may be taken at most, and leaves room for the results and for a few targets.
int64_t draws_at_once(Solver solver, const Design& design, const RidgeOptions& options, int64_t rows, int64_t draws);

/// What is shared by all tiles is there `draws` times. Throws std::invalid_argument, signed `where`, where
/// options.memory_limit does not suffice for a few targets.
int64_t tile_width(Solver solver, const Design& design, const RidgeOptions& options, int64_t rows, int64_t draws,
                   std::string_view where);

}  // namespace brain2music::ridge
