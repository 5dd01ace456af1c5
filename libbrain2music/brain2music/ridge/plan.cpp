#include "brain2music/ridge/plan.h"

#include <ATen/Parallel.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <string_view>

#include "brain2music/check.h"
#include "brain2music/device/memory.h"
#include "brain2music/ridge/packed_matrix.h"
#include "brain2music/ridge/training_rows.h"

namespace brain2music::ridge {
namespace {

// What a tile of targets may take while it is worked on: a share of the last-level cache.
constexpr int64_t tile_bytes = int64_t{10} << 20;

// The same where every tile costs a factor for each fold and penalty: the fewer tiles, the better.
constexpr int64_t factored_tile_bytes = int64_t{160} << 20;

// Narrower products of matrices are slower than what a cache could save.
constexpr int64_t least_columns = 512;

// The same where the matrices of all folds outgrow the last-level cache, so that each tile reads them from memory.
constexpr int64_t large_matrices = int64_t{24} << 20;
constexpr int64_t least_columns_by_large = 1024;

// A GPU has no cache to stay in, but launches to save.
constexpr int64_t targets_on_gpu = 65536;

// Where targets come from elsewhere: enough tiles for one to be copied while one is worked on.
constexpr int64_t targets_to_gpu = 16384;

// With fewer targets at once, threads would do little else than begin.
constexpr int64_t fewest_targets = 16;

// On a GPU what other work and the allocator's rounding may take.
constexpr double share_of_free = 0.85;

constexpr int64_t panel = Panels<float>::width;

constexpr int64_t wide = 8;  // bytes of a float64

// Draws that are worked on at once may share so many bytes, where no limit is given.
constexpr int64_t draws_bytes = int64_t{1} << 30;

/// On a CPU one for each thread; on a GPU one, and the tile on its way there.
int64_t tiles_at_once(const Design& design) { return design.device.is_cpu() ? at::get_num_threads() : 2; }

/// Bytes of the smallest tiles.
int64_t least_tiles(const Memory& memory, const Design& design) {
  return tiles_at_once(design) * std::min(fewest_targets, design.targets) * memory.per_target;
}

/// How many parts of `size` hold all of them.
int64_t parts_of(int64_t all, int64_t size) { return (all + size - 1) / size; }

}  // namespace

bool packs_products(const Design& design) {
  const Folds& folds = design.folds;
  return design.rows && folds.rows <= few_rows && count_slots(folds) == folds.size() + 1;
}

Memory memory_of(Solver solver, const Design& design, const RidgeOptions& options, int64_t rows) {
  const auto real = static_cast<int64_t>(c10::elementSize(design.type));
  const int64_t p = design.features;
  const int64_t folds = design.fold_count();
  const auto penalties = static_cast<int64_t>(design.alphas.size());
  const int64_t t = design.targets;
  int64_t held = 0;
  for (const at::Tensor& held_out : design.folds.held_out) {
    held = std::max(held, held_out.numel());
  }
  const bool by_rows = design.rows && held < p;
  // products by register tiles read a copy of the rows
  const bool copied = by_rows || (design.device.is_cpu() && design.type == at::kFloat && packs_products(design));
  const int64_t slots = count_slots(design.folds);
  const int64_t gaps = slots - folds - 1;
  const int64_t outputs = solver == Solver::kernel && !design.x.defined() ? rows : p;
  const int64_t products = copied ? registers::blocks_of(p + 1) * registers::block : p + 1;  // rows of them, stored

  Memory memory;
  memory.results = t * (4 * wide + 3 * real + (options.refit ? real * (outputs + 1) : 0) +
                        (options.keep_path ? real * penalties : 0) + (options.keep_predictions ? real * rows : 0) +
                        (options.alpha_per_target ? 0 : 2 * wide * penalties));
  const int64_t scores = 12 * wide * penalties;
  const int64_t refit = options.refit || options.keep_predictions ? 7 * wide * p : 0;
  const int64_t predictions = options.keep_predictions ? 2 * wide * (p + held) : 0;
  const int64_t matrix = p * p;
  memory.shared = design.rows ? rows * (p + 1) * (real + (real < wide ? wide : 0)) : 0;
  switch (solver) {
    case Solver::kernel: {
      const int64_t train = rows - held;
      const int64_t predictors = t > held ? penalties * folds * held * train * real : 0;
      memory.shared += wide * rows * rows * (2 + folds) + predictors;
      memory.per_target = real * rows + 3 * wide * rows + 3 * wide * held + scores + 4 * wide * rows + predictions;
      return memory;
    }
    case Solver::cholesky:
      if (design.device.is_cuda()) {  // all penalties of a fold at once
        memory.shared += 2 * wide * penalties * matrix;
        memory.per_target += 4 * wide * penalties * p;
      }
      memory.shared += matrix * (wide * (folds + gaps + 4 + at::get_num_threads() * 7) + penalties * 2 * real);
      memory.per_target += real * rows + (p + 1) * slots * 2 * wide + 8 * wide * p + wide * held + scores + refit;
      break;
    default:
      memory.shared +=
          matrix * (wide * (3 * folds + gaps + 4 + at::get_num_threads() * 8) + real * (3 * folds + penalties)) +
          (by_rows ? folds * held * p * (wide + real) : 0);
      memory.per_target = real * ((copied ? 2 : 1) * rows + (by_rows ? 2 * gaps + 1 : slots) * products) +
                          std::max(5 * real * products + scores, refit) + scores;
  }
  memory.per_target += predictions;
  return memory;
}

int64_t draws_at_once(Solver solver, const Design& design, const RidgeOptions& options, int64_t rows, int64_t draws) {
  const Memory memory = memory_of(solver, design, options, rows);
  int64_t room = draws_bytes;
  if (options.memory_limit > 0) {
    const int64_t results = design.streamed ? 0 : memory.results;
    room = std::min(options.memory_limit / 3, options.memory_limit - results - least_tiles(memory, design));
  }
  return std::clamp<int64_t>(room / memory.shared, 1, draws);
}

int64_t tile_width(Solver solver, const Design& design, const RidgeOptions& options, int64_t rows, int64_t draws,
                   std::string_view where) {
  const Memory memory = memory_of(solver, design, options, rows);
  const bool factored = solver != Solver::eigenbasis;
  const int64_t by_cache = (factored ? factored_tile_bytes : tile_bytes) / memory.per_target / 64 * 64;
  const int64_t matrices =
      2 * design.fold_count() * design.features * design.features * static_cast<int64_t>(c10::elementSize(design.type));
  const int64_t least = matrices > large_matrices ? least_columns_by_large : least_columns;
  int64_t width = std::clamp<int64_t>(by_cache, factored ? 64 : least, factored ? 4096 : 2048);
  if (design.device.is_cuda()) {
    width = design.streamed ? targets_to_gpu : targets_on_gpu;
  }
  width = std::min(width, design.targets);
  if (design.device.is_cpu() && !factored) {  // as many tiles for each thread, in whole panels
    const int64_t tiles = parts_of(design.targets, width);
    const int64_t threads = std::min<int64_t>(at::get_num_threads(), tiles);
    width = parts_of(parts_of(design.targets, parts_of(tiles, threads) * threads), panel) * panel;
  }

  int64_t limit = options.memory_limit;
  const int64_t results = design.streamed ? 0 : memory.results;
  const int64_t taken = results + draws * memory.shared;
  if (const std::optional<int64_t> free = device::free_memory(design.device)) {
    const auto there = static_cast<int64_t>(share_of_free * static_cast<double>(*free));
    limit = limit > 0 ? std::min(limit, there) : there;
  }
  if (limit == 0) {
    return width;
  }
  const int64_t needed = taken + least_tiles(memory, design);
  constexpr double mebibyte = 1 << 20;
  require(needed <= limit, where, "memory_limit must be at least ", static_cast<double>(needed) / mebibyte,
          " MiB, of which results take ", static_cast<double>(results) / mebibyte, "; got ",
          static_cast<double>(limit) / mebibyte);
  return std::min(width, (limit - taken) / (tiles_at_once(design) * memory.per_target));
}

}  // namespace brain2music::ridge
