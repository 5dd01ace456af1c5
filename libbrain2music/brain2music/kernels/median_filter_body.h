#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "brain2music/kernels/host_device.h"

/// The arithmetic of the median filter, shared by CPU and CUDA.
///
/// Each column is sorted once, so that every sample has a rank; the window is then a set of ranks kept as bits, and its
/// median moves by at most one set bit when the window moves by one scan.
namespace brain2music::kernels {

template <class Real>
using KeyOf = std::conditional_t<sizeof(Real) == 4, std::uint32_t, std::uint64_t>;

/// An unsigned integer that orders as the float does (-0 below +0, NaN outermost by its sign).
template <class Real>
B2M_HOST_DEVICE KeyOf<Real> to_key(Real value) {
  using Key = KeyOf<Real>;
  constexpr Key sign = Key{1} << (8 * sizeof(Key) - 1);
  const Key bits = std::bit_cast<Key>(value);
  return (bits & sign) != 0 ? static_cast<Key>(~bits) : static_cast<Key>(bits | sign);
}

template <class Real>
B2M_HOST_DEVICE Real from_key(KeyOf<Real> key) {
  using Key = KeyOf<Real>;
  constexpr Key sign = Key{1} << (8 * sizeof(Key) - 1);
  return std::bit_cast<Real>((key & sign) != 0 ? static_cast<Key>(key & ~sign) : static_cast<Key>(~key));
}

/// One run extended by `half` scans at both ends by reflection. Padded positions count from -half to scans + half - 1.
struct ReflectedRun {
  std::int64_t scans;
  std::int64_t half;

  /// The scan that stands at a padded position.
  B2M_HOST_DEVICE std::int64_t scan_at(std::int64_t position) const {
    if (position >= 0 && position < scans) {
      return position;
    }
    const std::int64_t period = 2 * scans;
    std::int64_t phase = position % period;
    phase += phase < 0 ? period : 0;
    return phase < scans ? phase : period - 1 - phase;
  }

  /// How many reflections of the run the padding reaches into, on each side.
  B2M_HOST_DEVICE std::int64_t reflections() const { return (half + scans - 1) / scans; }

  /// log2 of a bound on how often one scan occurs among the padded positions. In a run of two half windows or more a
  /// scan is mirrored at one end at most: two occurrences.
  B2M_HOST_DEVICE int copy_bits() const {
    int bits = 1;
    if (scans < 2 * half) {
      while ((std::int64_t{1} << bits) < 2 * reflections() + 1) {
        ++bits;
      }
    }
    return bits;
  }

  /// Tells the occurrences of one scan apart: a number below 2^copy_bits().
  B2M_HOST_DEVICE std::uint32_t copy_at(std::int64_t position) const {
    const bool inside = position >= 0 && position < scans;
    if (scans >= 2 * half) {
      return inside ? 0 : 1;
    }
    return static_cast<std::uint32_t>((position + reflections() * scans) / scans);
  }
};

template <class Word>
B2M_HOST_DEVICE int lowest_bit(Word word) {
#if defined(__CUDA_ARCH__)
  return sizeof(Word) == 4 ? __ffs(static_cast<int>(word)) - 1 : __ffsll(static_cast<long long>(word)) - 1;
#else
  return std::countr_zero(word);
#endif
}

template <class Word>
B2M_HOST_DEVICE int highest_bit(Word word) {
#if defined(__CUDA_ARCH__)
  return sizeof(Word) == 4 ? 31 - __clz(static_cast<int>(word)) : 63 - __clzll(static_cast<long long>(word));
#else
  return static_cast<int>(8 * sizeof(Word)) - 1 - std::countl_zero(word);
#endif
}

template <class Word>
B2M_HOST_DEVICE int count_bits(Word word) {
#if defined(__CUDA_ARCH__)
  return sizeof(Word) == 4 ? __popc(static_cast<unsigned>(word)) : __popcll(static_cast<unsigned long long>(word));
#else
  return std::popcount(word);
#endif
}

/// Distinct ranks as a bit set. Word i lies at words[i * stride]: on the GPU the sets of neighbouring lanes interleave,
/// so that no two lanes meet in a bank of shared memory.
template <class Word>
class RankSet {
 public:
  static constexpr std::uint32_t word_bits = 8 * sizeof(Word);

  B2M_HOST_DEVICE RankSet(Word* words, std::uint32_t stride) : words_(words), stride_(stride) {}

  B2M_HOST_DEVICE void insert(std::uint32_t rank) { word_of(rank) |= bit(rank); }

  B2M_HOST_DEVICE void erase(std::uint32_t rank) { word_of(rank) &= ~bit(rank); }

  /// The rank that has `below` ranks of the set below it; there is one.
  B2M_HOST_DEVICE std::uint32_t nth(std::int64_t below) const {
    std::uint32_t index = 0;
    Word word = words_[0];
    for (int count = count_bits(word); count <= below; count = count_bits(word)) {
      below -= count;
      word = words_[++index * stride_];
    }
    for (; below > 0; --below) {
      word &= word - 1;
    }
    return index * word_bits + lowest_bit(word);
  }

  /// The next rank of the set above another, or below it; there is one.
  B2M_HOST_DEVICE std::uint32_t above(std::uint32_t rank) const {
    std::uint32_t index = rank / word_bits;
    Word word = words_[index * stride_] & (~Word{1} << (rank % word_bits));
    while (word == 0) {
      word = words_[++index * stride_];
    }
    return index * word_bits + lowest_bit(word);
  }

  B2M_HOST_DEVICE std::uint32_t beneath(std::uint32_t rank) const {
    std::uint32_t index = rank / word_bits;
    Word word = words_[index * stride_] & (bit(rank) - 1);
    while (word == 0) {
      word = words_[--index * stride_];
    }
    return index * word_bits + highest_bit(word);
  }

 private:
  B2M_HOST_DEVICE Word& word_of(std::uint32_t rank) { return words_[rank / word_bits * stride_]; }

  B2M_HOST_DEVICE static Word bit(std::uint32_t rank) { return Word{1} << (rank % word_bits); }

  Word* words_;
  std::uint32_t stride_;
};

/// A window of 2 * half + 1 ranks, and the rank in its middle.
template <class Word>
class RankWindow {
 public:
  B2M_HOST_DEVICE RankWindow(Word* words, std::uint32_t stride, std::int64_t half)
      : ranks_(words, stride), half_(half) {}

  B2M_HOST_DEVICE void insert(std::uint32_t rank) { ranks_.insert(rank); }

  /// Finds the median once all ranks of the first window are in.
  B2M_HOST_DEVICE void find_median() { median_ = ranks_.nth(half_); }

  /// Moves the window by one scan: one rank leaves, another enters.
  B2M_HOST_DEVICE void slide(std::uint32_t leaving, std::uint32_t entering) {
    ranks_.erase(leaving);
    ranks_.insert(entering);
    const int gained_below = (entering < median_ ? 1 : 0) - (leaving < median_ ? 1 : 0);
    // There is a next rank whenever it is asked for, since half the window lies on either side.
    if (gained_below > 0) {
      median_ = ranks_.beneath(median_);
    } else if (gained_below < 0 || leaving == median_) {
      median_ = ranks_.above(median_);
    }
  }

  B2M_HOST_DEVICE std::uint32_t median() const { return median_; }

 private:
  RankSet<Word> ranks_;
  std::int64_t half_;
  std::uint32_t median_ = 0;
};

/// Medians of the windows centred on scans first ... last - 1, given as ranks to `emit(scan, rank)`; `rank_at` maps a
/// padded position to a rank of its own, and `words` are zero.
template <class Word, class RankAt, class Emit>
B2M_HOST_DEVICE void slide_medians(Word* words, std::uint32_t stride, std::int64_t half, std::int64_t first,
                                   std::int64_t last, const RankAt& rank_at, const Emit& emit) {
  if (first >= last) {
    return;
  }
  RankWindow<Word> window(words, stride, half);
  for (std::int64_t position = first - half; position <= first + half; ++position) {
    window.insert(rank_at(position));
  }
  window.find_median();
  emit(first, window.median());
  for (std::int64_t scan = first + 1; scan < last; ++scan) {
    window.slide(rank_at(scan - half - 1), rank_at(scan + half));
    emit(scan, window.median());
  }
}

}  // namespace brain2music::kernels
