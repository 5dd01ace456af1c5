#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <mutex>
#include <span>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/kernels/permutation_null_body.h"
#include "brain2music/kernels/permutation_null_impl.h"

namespace brain2music::kernels {
namespace {

/// Voxels of a tile: a cache line of them, side by side, so that the sums over blocks are vector code.
template <class Real>
constexpr int64_t lanes = 64 / sizeof(Real);

/// In one cache line, not across two.
template <class Real>
struct alignas(64) Line : std::array<Real, lanes<Real>> {};

// A table of the products of all pairs of blocks pays while it stays in the second-level cache.
constexpr int64_t table_bytes = 512 * 1024;

// Orders summed at once: their additions do not wait for each other, and their sums fill half of the registers.
constexpr int64_t together = 4;

template <class Real>
struct VectorOf {
  static constexpr int64_t bytes = 32;
  // NOLINTNEXTLINE(modernize-use-using): an alias cannot carry the attribute where Real is a parameter
  typedef Real Type __attribute__((vector_size(bytes)));
};

/// Half a line in the vector extension of GCC and Clang. Sums in arrays go to memory at each addition: twice the time.
template <class Real>
using Half = typename VectorOf<Real>::Type;  // NOLINT(readability-redundant-typename): not before Clang 16

template <class Real>
Half<Real> load(const Real* from) {
  Half<Real> half;
  std::memcpy(&half, from, sizeof half);
  return half;
}

template <class Real>
void store(Real* to, const Half<Real>& half) {
  std::memcpy(to, &half, sizeof half);
}

/// A whole number for each lane: of four bytes beside float, of eight beside double.
template <class Real>
struct Counts {
  using Mask = decltype(Half<Real>{} >= Half<Real>{});
  Mask low{};
  Mask high{};
};

/// A sum of lines that stays in registers.
template <class Real>
struct Sum {
  Half<Real> low{};
  Half<Real> high{};

  static Sum of(const Line<Real>& line) { return {load(line.data()), load(line.data() + lanes<Real> / 2)}; }

  [[gnu::always_inline]] void add(const Line<Real>& line) {
    low += load(line.data());
    high += load(line.data() + lanes<Real> / 2);
  }

  /// Counts the lanes that reach a limit: a comparison that holds is -1.
  [[gnu::always_inline]] void count(const Sum& limit, Counts<Real>& counts) const {
    counts.low -= low >= limit.low;
    counts.high -= high >= limit.high;
  }

  /// Raises a line to this sum where the sum is larger.
  [[gnu::always_inline]] void raise(Line<Real>& line) const {
    const Sum former = of(line);
    store(line.data(), low > former.low ? low : former.low);
    store(line.data() + lanes<Real> / 2, high > former.high ? high : former.high);
  }

  Line<Real> line() const {
    Line<Real> made;
    store(made.data(), low);
    store(made.data() + lanes<Real> / 2, high);
    return made;
  }
};

/// Orders in groups of `together`, place by place: (groups, blocks, together). The last group is filled up with the
/// first order.
class Groups {
 public:
  Groups(std::span<const int64_t> orders, int64_t blocks)
      : blocks_(blocks), permutations_(static_cast<int64_t>(orders.size()) / blocks) {
    froms_.reserve(static_cast<std::size_t>(count() * together * blocks));
    for (int64_t group = 0; group < count(); ++group) {
      for (int64_t place = 0; place < blocks; ++place) {
        for (int64_t m = group * together; m < (group + 1) * together; ++m) {
          froms_.push_back(static_cast<int32_t>(orders[(m < permutations_ ? m : 0) * blocks + place]));
        }
      }
    }
  }

  int64_t permutations() const { return permutations_; }
  int64_t count() const { return (permutations_ + together - 1) / together; }
  /// How many orders of a group are no fill.
  int64_t size(int64_t group) const { return std::min(together, permutations_ - group * together); }
  /// The blocks that a group's orders put in each place, (blocks, together).
  const int32_t* operator[](int64_t group) const { return froms_.data() + group * blocks_ * together; }

 private:
  int64_t blocks_;
  int64_t permutations_;
  std::vector<int32_t> froms_;
};

template <class Real>
struct Inputs {
  const Real* predicted;
  const Real* observed;
  const Groups& groups;
  int64_t blocks;
  int64_t rows;
  int64_t voxels;
  Real slack;

  int64_t permutations() const { return groups.permutations(); }
  bool tabled() const { return blocks * blocks * static_cast<int64_t>(sizeof(Line<Real>)) <= table_bytes; }
};

/// One thread's memory, and the largest scores of its tiles.
template <class Real>
class TileScorer {
 public:
  explicit TileScorer(const Inputs<Real>& in)
      : in_(in),
        predicted_(static_cast<std::size_t>(in.blocks * in.rows)),
        observed_(predicted_.size()),
        table_(in.tabled() ? static_cast<std::size_t>(in.blocks * in.blocks) : 0),
        largest_(static_cast<std::size_t>(in.permutations()), lowest()) {}

  /// Scores the tile that begins with this voxel.
  void operator()(int64_t first, int64_t* at_least, Real* own) {
    const int64_t width = std::min(lanes<Real>, in_.voxels - first);
    gather(in_.predicted + first, width, predicted_);
    gather(in_.observed + first, width, observed_);
    for (int64_t from = 0; !table_.empty() && from < in_.blocks; ++from) {
      for (int64_t place = 0; place < in_.blocks; ++place) {
        table_[place * in_.blocks + from] = product(from, place);
      }
    }
    Sum<Real> whole;
    for (int64_t place = 0; place < in_.blocks; ++place) {
      whole.add(product(place, place));
    }
    Line<Real> line = whole.line();
    std::copy_n(line.begin(), width, own + first);
    for (Real& value : line) {
      value -= in_.slack;
    }
    const Sum<Real> limit = Sum<Real>::of(line);
    Counts<Real> counts;
    for (int64_t group = 0; group < in_.groups.count(); ++group) {
      if (table_.empty()) {
        score<false>(group, limit, counts);
      } else {
        score<true>(group, limit, counts);
      }
    }
    for (int64_t l = 0; l < width; ++l) {
      constexpr int64_t half = lanes<Real> / 2;
      at_least[first + l] = l < half ? counts.low[l] : counts.high[l - half];
    }
  }

  /// The largest score of an order, of all tiles.
  Real largest(int64_t m) const { return *std::max_element(largest_[m].begin(), largest_[m].end()); }

 private:
  static Line<Real> lowest() {
    Line<Real> line;
    line.fill(-std::numeric_limits<Real>::infinity());
    return line;
  }

  /// Lanes beyond the last voxel repeat the tile's first one, which changes no largest score.
  void gather(const Real* x, int64_t width, std::vector<Line<Real>>& lines) const {
    for (std::size_t row = 0; row < lines.size(); ++row) {
      const Real* line = x + static_cast<int64_t>(row) * in_.voxels;
      for (int64_t l = 0; l < lanes<Real>; ++l) {
        lines[row][l] = line[l < width ? l : 0];
      }
    }
  }

  Line<Real> product(int64_t from, int64_t place) const {
    const Line<Real>* p = predicted_.data() + from * in_.rows;
    const Line<Real>* y = observed_.data() + place * in_.rows;
    Line<Real> sum{};
    for (int64_t row = 0; row < in_.rows; ++row) {
      for (int64_t l = 0; l < lanes<Real>; ++l) {
        sum[l] = std::fma(p[row][l], y[row][l], sum[l]);
      }
    }
    return sum;
  }

  template <bool tabled>
  [[gnu::always_inline]] void add(Sum<Real>& sum, int64_t from, int64_t place) const {
    if constexpr (tabled) {
      sum.add(table_[place * in_.blocks + from]);
    } else {
      sum.add(product(from, place));
    }
  }

  template <bool tabled>
  void score(int64_t group, const Sum<Real>& limit, Counts<Real>& counts) {
    // A variable each, not an array: compilers keep these in registers.
    Sum<Real> first;
    Sum<Real> second;
    Sum<Real> third;
    Sum<Real> fourth;
    const int32_t* from = in_.groups[group];
    for (int64_t place = 0; place < in_.blocks; ++place, from += together) {
      add<tabled>(first, from[0], place);
      add<tabled>(second, from[1], place);
      add<tabled>(third, from[2], place);
      add<tabled>(fourth, from[3], place);
    }
    const int64_t size = in_.groups.size(group);
    Line<Real>* largest = largest_.data() + group * together;
    const auto keep = [&](int64_t k, const Sum<Real>& sum) {
      if (k < size) {
        sum.count(limit, counts);
        sum.raise(largest[k]);
      }
    };
    keep(0, first);
    keep(1, second);
    keep(2, third);
    keep(3, fourth);
  }

  const Inputs<Real>& in_;
  std::vector<Line<Real>> predicted_;
  std::vector<Line<Real>> observed_;
  std::vector<Line<Real>> table_;    // (places, blocks)
  std::vector<Line<Real>> largest_;  // (permutations), lane by lane
};

template <class Real>
void score_all(const Inputs<Real>& in, int64_t* at_least, Real* largest, Real* own) {
  std::fill_n(largest, in.permutations(), -std::numeric_limits<Real>::infinity());
  std::mutex merging;
  const int64_t tiles = (in.voxels + lanes<Real> - 1) / lanes<Real>;
  at::parallel_for(0, tiles, 1, [&](int64_t first_tile, int64_t last_tile) {
    TileScorer<Real> scorer(in);
    for (int64_t tile = first_tile; tile < last_tile; ++tile) {
      scorer(tile * lanes<Real>, at_least, own);
    }
    const std::scoped_lock lock(merging);
    for (int64_t m = 0; m < in.permutations(); ++m) {
      largest[m] = std::max(largest[m], scorer.largest(m));
    }
  });
}

}  // namespace

PermutationNull permutation_null_cpu(const at::Tensor& predicted, const at::Tensor& observed,
                                     const at::Tensor& permutations, double slack) {
  const std::span orders(permutations.const_data_ptr<int64_t>(), static_cast<std::size_t>(permutations.numel()));
  const int64_t blocks = predicted.size(0);
  for (const int64_t block : orders) {
    require(block >= 0 && block < blocks, "kernels.permutation_null", "permutations must name blocks 0 to ", blocks - 1,
            "; got ", block);
  }
  PermutationNull null{at::empty({predicted.size(2)}, predicted.options().dtype(at::kLong)),
                       at::empty({permutations.size(0)}, predicted.options()),
                       at::empty({predicted.size(2)}, predicted.options())};
  const Groups groups(orders, blocks);
  const auto run = [&]<class Real>(Real /*type*/) {
    score_all(Inputs<Real>{predicted.const_data_ptr<Real>(), observed.const_data_ptr<Real>(), groups, blocks,
                           predicted.size(1), predicted.size(2), static_cast<Real>(slack)},
              null.at_least.mutable_data_ptr<int64_t>(), null.largest.mutable_data_ptr<Real>(),
              null.own.mutable_data_ptr<Real>());
  };
  if (predicted.scalar_type() == at::kFloat) {
    run(0.0F);
  } else {
    run(0.0);
  }
  return null;
}

}  // namespace brain2music::kernels
