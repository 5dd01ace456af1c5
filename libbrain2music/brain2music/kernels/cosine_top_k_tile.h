#pragma once

#include <array>
#include <cstdint>

#include "brain2music/kernels/cosine_top_k_body.h"

/// What a block of GPU threads does: 128 items against 8 queries, a thread to an item. Plain C++: the CPU tests run
/// whole grids of it, thread by thread.
namespace brain2music::kernels {

struct CosineBlock {
  static constexpr int threads = 128;  // items of a block
  static constexpr int width = 8;      // queries of a block
  static constexpr int chunk = 16;     // dimensions in shared memory at a time; a multiple of the chains of a sum

  struct Memory {
    // One more than there are threads, so that those that load neighbouring dimensions meet no bank twice.
    std::array<std::array<double, threads + 1>, chunk> items;
    std::array<std::array<double, chunk>, width> queries;
  };

  using Sums = std::array<ProductSum, width>;

  const float* queries;       // (q, d)
  const float* items;         // (n, d)
  const double* query_norms;  // (q,)
  const double* item_norms;   // (n,)
  std::int64_t q;
  std::int64_t n;
  std::int64_t d;
  std::int64_t* keys;  // (q, n)

  /// Dimensions [first, first + chunk) to shared memory, zero beyond the ends; neighbouring threads read neighbouring
  /// dimensions.
  B2M_HOST_DEVICE void load(std::int64_t block, std::int64_t group, std::int64_t first, int thread,
                            Memory& memory) const {
    for (int k = thread; k < threads * chunk; k += threads) {
      const std::int64_t item = block * threads + k / chunk;
      const std::int64_t dimension = first + k % chunk;
      const bool inside = item < n && dimension < d;
      memory.items[k % chunk][k / chunk] = inside ? static_cast<double>(items[item * d + dimension]) : 0.0;
    }
    for (int k = thread; k < width * chunk; k += threads) {
      const std::int64_t query = group * width + k / chunk;
      const std::int64_t dimension = first + k % chunk;
      const bool inside = query < q && dimension < d;
      memory.queries[k / chunk][k % chunk] = inside ? static_cast<double>(queries[query * d + dimension]) : 0.0;
    }
  }

  /// The loaded dimensions of this thread's item, times those of all queries. The zeros beyond the last dimension add
  /// nothing, and with a number of dimensions known to the compiler the sums stay in registers.
  B2M_HOST_DEVICE static void add(int thread, const Memory& memory, Sums& sums) {
    for (int w = 0; w < width; ++w) {
      sums[w].add(&memory.items[0][thread], threads + 1, memory.queries[w].data(), chunk);
    }
  }

  B2M_HOST_DEVICE void store(std::int64_t block, std::int64_t group, int thread, const Sums& sums) const {
    const std::int64_t item = block * threads + thread;
    for (int w = 0; w < width; ++w) {
      const std::int64_t query = group * width + w;
      if (item < n && query < q) {
        const float score = cosine_score(sums[w].total(), item_norms[item], query_norms[query]);
        keys[query * n + item] = rank_key(score, item);
      }
    }
  }
};

}  // namespace brain2music::kernels
