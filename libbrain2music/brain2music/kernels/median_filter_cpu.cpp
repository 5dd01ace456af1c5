#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "brain2music/kernels/columns.h"
#include "brain2music/kernels/median_filter_body.h"
#include "brain2music/kernels/median_filter_impl.h"
#include "brain2music/kernels/median_kept_body.h"

namespace brain2music::kernels {
namespace {

// Columns handled together, so that reads and writes of a (scans, voxels) array use whole cache lines.
constexpr int64_t columns_per_block = 16;

template <class Real>
struct Sample {
  KeyOf<Real> key;
  std::uint32_t scan;
};

/// Sorts by key, equal keys in order of scan: least significant byte first, all histograms taken in one pass.
template <class Real>
class RadixSort {
 public:
  explicit RadixSort(int64_t scans) : spare_(static_cast<std::size_t>(scans)) {}

  void operator()(std::vector<Sample<Real>>& samples) {
    for (auto& counts : counts_) {
      counts.fill(0);
    }
    for (const Sample<Real>& sample : samples) {
      for (int digit = 0; digit < digits; ++digit) {
        ++counts_[digit][byte(sample.key, digit)];
      }
    }
    for (int digit = 0; digit < digits; ++digit) {
      auto& counts = counts_[digit];
      if (counts[byte(samples.front().key, digit)] == samples.size()) {
        continue;  // all alike: usual for sign and exponent
      }
      std::uint32_t start = 0;
      for (std::uint32_t& count : counts) {
        start += std::exchange(count, start);
      }
      for (const Sample<Real>& sample : samples) {
        spare_[counts[byte(sample.key, digit)]++] = sample;
      }
      samples.swap(spare_);
    }
  }

 private:
  static constexpr int digits = sizeof(Real);

  static std::size_t byte(KeyOf<Real> key, int digit) { return (key >> (8 * digit)) & 0xFF; }

  std::vector<Sample<Real>> spare_;
  std::array<std::array<std::uint32_t, 256>, digits> counts_{};
};

/// Filters single columns of runs of one length; holds the memory that takes.
template <class Real>
class ColumnFilter {
 public:
  ColumnFilter(int64_t scans, int64_t half)
      : run_{scans, half},
        copy_bits_(run_.copy_bits()),
        sort_(scans),
        samples_(static_cast<std::size_t>(scans)),
        rank_of_scan_(samples_.size()),
        padded_(static_cast<std::size_t>(scans + 2 * half)),
        rank_of_position_(padded_.size()),
        words_(((samples_.size() << copy_bits_) + 63) / 64) {
    for (int64_t position = -half; position < scans + half; ++position) {
      padded_[position + half] = {static_cast<std::uint32_t>(run_.scan_at(position)), run_.copy_at(position)};
    }
  }

  /// Overwrites the column by its trend, or by what is left without it; scans that are not kept by NaN.
  void operator()(std::span<Real> column, MedianOutput output, const bool* kept) {
    for (std::size_t scan = 0; scan < column.size(); ++scan) {
      samples_[scan] = {to_key(column[scan]), static_cast<std::uint32_t>(scan)};
    }
    sort_(samples_);
    for (std::size_t rank = 0; rank < samples_.size(); ++rank) {
      rank_of_scan_[samples_[rank].scan] = static_cast<std::uint32_t>(rank << copy_bits_);
    }
    for (std::size_t i = 0; i < padded_.size(); ++i) {
      rank_of_position_[i] = rank_of_scan_[padded_[i].scan] + padded_[i].copy;
    }
    std::ranges::fill(words_, 0);
    const std::uint32_t* ranks = rank_of_position_.data() + run_.half;
    const auto rank_at = [=](int64_t position) { return ranks[position]; };
    const auto value = [&](std::uint32_t rank) { return from_key<Real>(samples_[rank >> copy_bits_].key); };
    const auto write = [&](int64_t scan, Real median) {
      column[scan] = output == MedianOutput::trend ? median : column[scan] - median;
    };
    if (kept == nullptr) {
      slide_medians(words_.data(), 1, run_.half, 0, run_.scans, rank_at,
                    [&](int64_t scan, std::uint32_t rank) { write(scan, value(rank)); });
    } else {
      slide_kept_medians(
          words_.data(), 1, run_, kept, 0, run_.scans, rank_at,
          [&](int64_t scan, std::uint32_t lower, std::uint32_t upper) {
            write(scan, lower == upper ? value(lower) : between(value(lower), value(upper)));
          },
          [&](int64_t scan) { column[scan] = left_out<Real>; });
    }
  }

 private:
  struct Position {
    std::uint32_t scan;
    std::uint32_t copy;
  };

  ReflectedRun run_;
  int copy_bits_;
  RadixSort<Real> sort_;
  std::vector<Sample<Real>> samples_;
  std::vector<std::uint32_t> rank_of_scan_;
  std::vector<Position> padded_;
  std::vector<std::uint32_t> rank_of_position_;
  std::vector<std::uint64_t> words_;
};

template <class Real>
void filter_run(const RunColumns<Real>& run, int64_t size, MedianOutput output, const bool* kept) {
  const int64_t blocks = (run.voxels + columns_per_block - 1) / columns_per_block;
  at::parallel_for(0, blocks, 4, [&](int64_t first_block, int64_t last_block) {
    ColumnFilter<Real> filter(run.scans, size / 2);
    std::vector<Real> columns(static_cast<std::size_t>(columns_per_block * run.scans));
    for (int64_t block = first_block; block < last_block; ++block) {
      const int64_t first = block * columns_per_block;
      const int64_t width = std::min(columns_per_block, run.voxels - first);
      for (int64_t scan = 0; scan < run.scans; ++scan) {
        for (int64_t c = 0; c < width; ++c) {
          columns[c * run.scans + scan] = run.x[scan * run.scan_stride + (first + c) * run.voxel_stride];
        }
      }
      for (int64_t c = 0; c < width; ++c) {
        filter(std::span(columns).subspan(c * run.scans, run.scans), output, kept);
      }
      for (int64_t scan = 0; scan < run.scans; ++scan) {
        for (int64_t c = 0; c < width; ++c) {
          run.y[scan * run.voxels + first + c] = columns[c * run.scans + scan];
        }
      }
    }
  });
}

}  // namespace

at::Tensor median_filter_cpu(const at::Tensor& x, int64_t size, at::IntArrayRef run_lengths, MedianOutput output,
                             const bool* kept) {
  return for_each_run(x, run_lengths, [&](const auto& run) {
    filter_run(run, size, output, kept == nullptr ? nullptr : kept + run.first);
  });
}

}  // namespace brain2music::kernels
