#pragma once

#include <cstdint>
#include <limits>

#include "brain2music/kernels/median_filter_body.h"

/// The median filter where scans are left out, shared by CPU and CUDA: a window then holds any number of ranks.
namespace brain2music::kernels {

/// A window of any number of ranks, and the rank at (count - 1) / 2 in order.
template <class Word>
class KeptRankWindow {
 public:
  B2M_HOST_DEVICE KeptRankWindow(Word* words, std::uint32_t stride) : ranks_(words, stride) {}

  B2M_HOST_DEVICE void insert(std::uint32_t rank) {
    ranks_.insert(rank);
    if (count_ == 0) {
      middle_ = rank;
    } else if (rank < middle_) {
      ++below_;
    }
    ++count_;
  }

  B2M_HOST_DEVICE void erase(std::uint32_t rank) {
    ranks_.erase(rank);
    --count_;
    if (rank < middle_) {
      --below_;
    } else if (rank == middle_ && count_ > 0) {
      if (below_ < count_) {
        middle_ = ranks_.above(middle_);
      } else {
        middle_ = ranks_.beneath(middle_);
        --below_;
      }
    }
  }

  /// The middle rank, or the lower one of two; there is one rank or more.
  B2M_HOST_DEVICE std::uint32_t lower() {
    const std::int64_t wanted = (count_ - 1) / 2;
    for (; below_ < wanted; ++below_) {
      middle_ = ranks_.above(middle_);
    }
    for (; below_ > wanted; --below_) {
      middle_ = ranks_.beneath(middle_);
    }
    return middle_;
  }

  /// The middle rank, or the upper one of two, after lower().
  B2M_HOST_DEVICE std::uint32_t upper() const { return count_ % 2 == 1 ? middle_ : ranks_.above(middle_); }

 private:
  RankSet<Word> ranks_;
  std::uint32_t middle_ = 0;
  std::int64_t count_ = 0;
  std::int64_t below_ = 0;  // ranks of the set under the middle one
};

/// Slides as slide_medians does, over the scans that `kept` (by number of the scan) names. `emit(scan, lower, upper)`
/// gets the ranks in the middle, one twice where their number is odd; `skip(scan)` is called for the others.
template <class Word, class RankAt, class Emit, class Skip>
B2M_HOST_DEVICE void slide_kept_medians(Word* words, std::uint32_t stride, ReflectedRun run, const bool* kept,
                                        std::int64_t first, std::int64_t last, const RankAt& rank_at, const Emit& emit,
                                        const Skip& skip) {
  KeptRankWindow<Word> window(words, stride);
  const std::int64_t half = run.half;
  for (std::int64_t position = first - half; position < first + half; ++position) {
    if (kept[run.scan_at(position)]) {
      window.insert(rank_at(position));
    }
  }
  for (std::int64_t scan = first; scan < last; ++scan) {
    if (kept[run.scan_at(scan + half)]) {
      window.insert(rank_at(scan + half));
    }
    if (kept[scan]) {
      const std::uint32_t lower = window.lower();
      emit(scan, lower, window.upper());
    } else {
      skip(scan);
    }
    if (kept[run.scan_at(scan - half)]) {
      window.erase(rank_at(scan - half));
    }
  }
}

/// The median of the values in the middle, as NumPy rounds it.
template <class Real>
B2M_HOST_DEVICE Real between(Real lower, Real upper) {
  return (lower + upper) / 2;
}

/// A scan that is left out gives this.
template <class Real>
constexpr Real left_out = std::numeric_limits<Real>::quiet_NaN();

}  // namespace brain2music::kernels
