#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <array>
#include <cstdint>
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

template <class Real>
using Line = std::array<Real, lanes<Real>>;

// A table of the products of all pairs of blocks pays while it stays in the second-level cache.
constexpr int64_t table_bytes = 512 * 1024;

// Orders summed at once: their additions do not wait for each other.
constexpr int64_t together = 4;

template <class Real>
struct Inputs {
  const Real* predicted;
  const Real* observed;
  std::span<const int64_t> orders;  // (permutations, blocks)
  int64_t blocks;
  int64_t rows;
  int64_t voxels;
  Real slack;

  int64_t permutations() const { return static_cast<int64_t>(orders.size()) / blocks; }
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
        largest_(static_cast<std::size_t>(in.permutations()), -std::numeric_limits<Real>::infinity()) {}

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
    Line<Real> limit{};
    for (int64_t place = 0; place < in_.blocks; ++place) {
      add(limit, product(place, place));
    }
    std::copy_n(limit.begin(), width, own + first);
    for (Real& value : limit) {
      value -= in_.slack;
    }
    std::array<int64_t, lanes<Real>> counts{};
    if (table_.empty()) {
      score_orders<false>(width, limit, counts);
    } else {
      score_orders<true>(width, limit, counts);
    }
    std::copy_n(counts.begin(), width, at_least + first);
  }

  const std::vector<Real>& largest() const { return largest_; }

 private:
  /// Lanes beyond the last voxel repeat its first one; nobody reads them.
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

  static void add(Line<Real>& sum, const Line<Real>& value) {
    for (int64_t l = 0; l < lanes<Real>; ++l) {
      sum[l] += value[l];
    }
  }

  template <bool tabled>
  void score_orders(int64_t width, const Line<Real>& limit, std::array<int64_t, lanes<Real>>& counts) {
    int64_t m = 0;
    for (; m + together <= in_.permutations(); m += together) {
      score<together, tabled>(m, width, limit, counts);
    }
    for (; m < in_.permutations(); ++m) {
      score<1, tabled>(m, width, limit, counts);
    }
  }

  template <int64_t count, bool tabled>
  void score(int64_t m, int64_t width, const Line<Real>& limit, std::array<int64_t, lanes<Real>>& counts) {
    std::array<Line<Real>, count> sums{};
    const int64_t* orders = in_.orders.data() + m * in_.blocks;
    for (int64_t place = 0; place < in_.blocks; ++place) {
      for (int64_t k = 0; k < count; ++k) {
        const int64_t from = orders[k * in_.blocks + place];
        if constexpr (tabled) {
          add(sums[k], table_[place * in_.blocks + from]);
        } else {
          add(sums[k], product(from, place));
        }
      }
    }
    for (int64_t k = 0; k < count; ++k) {
      Real most = largest_[m + k];
      for (int64_t l = 0; l < lanes<Real>; ++l) {
        counts[l] += sums[k][l] >= limit[l] ? 1 : 0;
      }
      for (int64_t l = 0; l < width; ++l) {
        most = sums[k][l] > most ? sums[k][l] : most;
      }
      largest_[m + k] = most;
    }
  }

  const Inputs<Real>& in_;
  std::vector<Line<Real>> predicted_;
  std::vector<Line<Real>> observed_;
  std::vector<Line<Real>> table_;  // (places, blocks)
  std::vector<Real> largest_;
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
      largest[m] = std::max(largest[m], scorer.largest()[m]);
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
  const auto run = [&]<class Real>(Real /*type*/) {
    score_all(Inputs<Real>{predicted.const_data_ptr<Real>(), observed.const_data_ptr<Real>(), orders, blocks,
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
