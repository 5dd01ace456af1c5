#pragma once

#include <algorithm>
#include <cstdint>

#include "brain2music/kernels/median_filter_body.h"
#include "brain2music/kernels/median_kept_body.h"

/// What a block of GPU threads does, a warp to a stretch of one column. Plain C++: the CPU tests run whole grids of it,
/// thread by thread.
namespace brain2music::kernels {

/// The stretch: which scans it needs, which it gives, and where they lie in shared memory.
struct MedianTileShape {
  static constexpr int lanes = 32;
  using Word = std::uint32_t;

  ReflectedRun run;
  std::int64_t first_output;
  std::int64_t last_output;
  std::int64_t first_sample;
  std::int64_t samples;

  /// Tile number `tile` of tiles of `outputs` scans. Every reflection that its windows reach lies among its own samples
  /// when a run has two half windows or more; a shorter run is one tile.
  B2M_HOST_DEVICE static MedianTileShape of(ReflectedRun run, std::int64_t outputs, std::int64_t tile) {
    const std::int64_t first = tile * outputs;
    const std::int64_t last = first + outputs < run.scans ? first + outputs : run.scans;
    const std::int64_t begin = first > run.half ? first - run.half : 0;
    const std::int64_t end = last + run.half < run.scans ? last + run.half : run.scans;
    return {run, first, last, begin, end - begin};
  }

  /// Words of one lane's bit set.
  B2M_HOST_DEVICE static std::int64_t words(std::int64_t samples, int copy_bits) {
    return ((samples << copy_bits) + 31) / 32;
  }
};

/// How many scans a tile gives and how many columns a block takes, for the shared memory there is.
struct MedianPlan {
  std::int64_t outputs;
  std::int64_t samples;  // at most, in any tile
  int copy_bits;
  int columns;  // of a block: one warp each; 0 where not even one fits
  std::int64_t column_bytes;

  B2M_HOST_DEVICE std::int64_t block_bytes() const { return columns * column_bytes; }

  B2M_HOST_DEVICE static constexpr std::int64_t round_up(std::int64_t bytes) { return (bytes + 7) / 8 * 8; }

  static MedianPlan make(ReflectedRun run, std::int64_t key_bytes, std::int64_t shared_bytes) {
    constexpr std::int64_t usual_outputs = 200;
    MedianPlan plan{};
    const std::int64_t tiles = run.scans < 2 * run.half ? 1 : (run.scans + usual_outputs - 1) / usual_outputs;
    plan.outputs = (run.scans + tiles - 1) / tiles;
    const std::int64_t overlaps = tiles > 2 ? 2 : tiles - 1;  // a tile at an end of the run has a neighbour on one side
    plan.samples = std::min(plan.outputs + overlaps * run.half, run.scans);
    plan.copy_bits = run.copy_bits();
    plan.column_bytes = round_up(plan.samples * key_bytes) + 2 * round_up(plan.samples * 2) +
                        round_up(MedianTileShape::words(plan.samples, plan.copy_bits) * 4 * MedianTileShape::lanes);
    // Ranks are kept in 16 bits; eight neighbouring float32 columns fill one 32-byte sector of memory.
    const std::int64_t fitting = plan.samples < (1 << 16) ? shared_bytes / plan.column_bytes : 0;
    plan.columns = static_cast<int>(std::min<std::int64_t>(8, fitting));
    return plan;
  }
};

/// One column of a tile, in the memory of a block. Once the keys are loaded all lanes run rank(), then all run
/// filter().
template <class Real>
struct MedianTile {
  using Key = KeyOf<Real>;
  using Word = MedianTileShape::Word;

  MedianTileShape shape;
  int copy_bits;
  Key* keys;              // (samples,) filled by the caller
  std::uint16_t* ranks;   // (samples,)
  std::uint16_t* sorted;  // (samples,) the sample of each rank
  Word* words;            // (words, lanes)

  B2M_HOST_DEVICE static MedianTile at(MedianTileShape shape, const MedianPlan& plan, char* memory) {
    char* ranks = memory + MedianPlan::round_up(plan.samples * sizeof(Key));
    char* sorted = ranks + MedianPlan::round_up(plan.samples * 2);
    char* words = sorted + MedianPlan::round_up(plan.samples * 2);
    return {shape,
            plan.copy_bits,
            reinterpret_cast<Key*>(memory),
            reinterpret_cast<std::uint16_t*>(ranks),
            reinterpret_cast<std::uint16_t*>(sorted),
            reinterpret_cast<Word*>(words)};
  }

  /// Ranks by counting: more comparisons than a sort, but all of them independent.
  B2M_HOST_DEVICE void rank(int lane) const {
    const auto samples = static_cast<std::int32_t>(shape.samples);
    for (std::int32_t i = lane; i < samples; i += MedianTileShape::lanes) {
      const Key key = keys[i];
      std::uint32_t rank = 0;
      for (std::int32_t j = 0; j < i; ++j) {
        rank += keys[j] <= key ? 1 : 0;
      }
      for (std::int32_t j = i + 1; j < samples; ++j) {
        rank += keys[j] < key ? 1 : 0;
      }
      ranks[i] = static_cast<std::uint16_t>(rank);
      sorted[rank] = static_cast<std::uint16_t>(i);
    }
    const std::int64_t count = MedianTileShape::words(shape.samples, copy_bits);
    for (std::int64_t i = 0; i < count; ++i) {
      words[i * MedianTileShape::lanes + lane] = 0;
    }
  }

  /// The medians of this lane's share of the outputs, to `emit(scan, value, median)`; NaN for both where `kept`, if
  /// there is one, leaves a scan out.
  template <class Emit>
  B2M_HOST_DEVICE void filter(int lane, const bool* kept, const Emit& emit) const {
    const std::int64_t outputs = shape.last_output - shape.first_output;
    const std::int64_t share = (outputs + MedianTileShape::lanes - 1) / MedianTileShape::lanes;
    const std::int64_t first = shape.first_output + lane * share;
    const std::int64_t last = first + share < shape.last_output ? first + share : shape.last_output;
    const auto rank_at = [this](std::int64_t position) {
      const std::uint32_t rank = ranks[shape.run.scan_at(position) - shape.first_sample];
      return (rank << copy_bits) + shape.run.copy_at(position);
    };
    const auto value_at = [this](std::int64_t scan) { return from_key<Real>(keys[scan - shape.first_sample]); };
    const auto value = [this](std::uint32_t rank) { return from_key<Real>(keys[sorted[rank >> copy_bits]]); };
    if (kept == nullptr) {
      slide_medians(words + lane, MedianTileShape::lanes, shape.run.half, first, last, rank_at,
                    [&](std::int64_t scan, std::uint32_t rank) { emit(scan, value_at(scan), value(rank)); });
    } else {
      slide_kept_medians(
          words + lane, MedianTileShape::lanes, shape.run, kept, first, last, rank_at,
          [&](std::int64_t scan, std::uint32_t lower, std::uint32_t upper) {
            emit(scan, value_at(scan), lower == upper ? value(lower) : between(value(lower), value(upper)));
          },
          [&](std::int64_t scan) { emit(scan, left_out<Real>, left_out<Real>); });
    }
  }
};

/// A block of `plan.columns` columns: what its threads do between two barriers. x and y point to the run's first scan.
template <class Real>
struct MedianBlock {
  const Real* x;
  std::int64_t scan_stride;
  std::int64_t voxel_stride;
  Real* y;  // (scans, voxels) contiguous
  std::int64_t voxels;
  ReflectedRun run;
  MedianPlan plan;
  bool residual;
  const bool* kept = nullptr;  // for each scan of the run; null: all

  B2M_HOST_DEVICE MedianTile<Real> tile(std::int64_t column, std::int64_t tile_index, char* memory) const {
    const auto shape = MedianTileShape::of(run, plan.outputs, tile_index);
    return MedianTile<Real>::at(shape, plan, memory + column * plan.column_bytes);
  }

  /// Neighbouring threads read neighbouring voxels of one scan.
  B2M_HOST_DEVICE void load(std::int64_t block, std::int64_t tile_index, int thread, int threads, char* memory) const {
    const auto shape = MedianTileShape::of(run, plan.outputs, tile_index);
    for (std::int64_t k = thread; k < shape.samples * plan.columns; k += threads) {
      const std::int64_t column = k % plan.columns;
      const std::int64_t voxel = block * plan.columns + column;
      const std::int64_t sample = k / plan.columns;
      if (voxel < voxels) {
        tile(column, tile_index, memory).keys[sample] =
            to_key(x[(shape.first_sample + sample) * scan_stride + voxel * voxel_stride]);
      }
    }
  }

  B2M_HOST_DEVICE void rank(std::int64_t block, std::int64_t tile_index, int thread, char* memory) const {
    const int column = thread / MedianTileShape::lanes;
    if (block * plan.columns + column < voxels) {
      tile(column, tile_index, memory).rank(thread % MedianTileShape::lanes);
    }
  }

  B2M_HOST_DEVICE void filter(std::int64_t block, std::int64_t tile_index, int thread, char* memory) const {
    const int column = thread / MedianTileShape::lanes;
    const std::int64_t voxel = block * plan.columns + column;
    if (voxel < voxels) {
      tile(column, tile_index, memory)
          .filter(thread % MedianTileShape::lanes, kept, [&](std::int64_t scan, Real value, Real median) {
            y[scan * voxels + voxel] = residual ? value - median : median;
          });
    }
  }
};

}  // namespace brain2music::kernels
