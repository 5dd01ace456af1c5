#pragma once

#include <array>
#include <cstdint>

#include "brain2music/kernels/sample_tokens_body.h"

/// A block of GPU threads draws from one row. The code is plain C++: the CPU tests run it, with a loop over the threads
/// between two barriers.
namespace brain2music::kernels {

struct SampleBlock {
  static constexpr int threads = KeyDigits::bins;
  static constexpr int copies = 8;  ///< of the sums of digits: threads side by side seldom wait for each other
  static constexpr int groups = 16;
  static constexpr int group = threads / groups;

  /// Shared memory of a block. Sums that threads add to are in two halves, since it adds 32 bits at once, but not 64.
  struct Memory {
    std::array<std::uint32_t, KeyDigits::bins * copies> low;
    std::array<std::uint32_t, KeyDigits::bins * copies> high;
    std::array<std::uint64_t, threads> sums;  ///< of digits, or of stretches of the row
    std::array<std::uint64_t, groups> group_sums;
    std::uint32_t total_low;
    std::uint32_t total_high;
    std::uint32_t greatest;
    std::uint32_t first_greatest;

    B2M_HOST_DEVICE std::uint64_t total() const { return std::uint64_t{total_high} << 32U | total_low; }
  };

  const float* logits;          // (n, vocabulary)
  const std::int64_t* ranges;   // (n, 2)
  const std::int64_t* streams;  // (n,)
  const std::int64_t* step;     // ()
  std::int64_t seed;
  SampleSettings settings;
  std::int64_t rows;
  std::int64_t vocabulary;
  std::uint64_t* weights;  // (n, vocabulary), to work with
  std::int64_t* tokens;    // (n,)

  /// Draws the token of one row. `team.each(work)` runs work(thread) on all threads of the block, then waits for all;
  /// what follows it is the same on all threads. A thread that reads what others wrote waits once more before it is
  /// written again.
  template <class Team>
  B2M_HOST_DEVICE void run(const Team& team, std::int64_t row, Memory& memory) const {
    const std::int64_t token = draw(team, row, memory);
    team.each([&](int thread) {
      if (thread == 0) {
        tokens[row] = token;
      }
    });
  }

 private:
  /// Ids of one row that may be drawn.
  struct Ids {
    const float* logits;
    std::uint64_t* weights;
    int count;
  };

  B2M_HOST_DEVICE static void add(std::uint32_t& low, std::uint32_t& high, std::uint64_t value) {
    const auto low_half = static_cast<std::uint32_t>(value);
    const auto high_half = static_cast<std::uint32_t>(value >> 32U);
#if defined(__CUDA_ARCH__)
    const std::uint32_t before = atomicAdd(&low, low_half);
#else
    const std::uint32_t before = low;
    low += low_half;
#endif
    // The sum is exact in any order: whenever the lower half overflows, one thread sees it.
    const std::uint32_t carried = high_half + (before + low_half < before ? 1 : 0);
    if (carried != 0) {
#if defined(__CUDA_ARCH__)
      atomicAdd(&high, carried);
#else
      high += carried;
#endif
    }
  }

  B2M_HOST_DEVICE static void raise(std::uint32_t& greatest, std::uint32_t value) {
#if defined(__CUDA_ARCH__)
    atomicMax(&greatest, value);
#else
    greatest = value > greatest ? value : greatest;
#endif
  }

  B2M_HOST_DEVICE static void lower(std::uint32_t& least, std::uint32_t value) {
#if defined(__CUDA_ARCH__)
    atomicMin(&least, value);
#else
    least = value < least ? value : least;
#endif
  }

  template <class Team>
  B2M_HOST_DEVICE static void wait(const Team& team) {
    team.each([](int /*thread*/) {});
  }

  template <class Team>
  B2M_HOST_DEVICE std::int64_t draw(const Team& team, std::int64_t row, Memory& memory) const {
    const std::int64_t first = ranges[row * 2];
    const std::int64_t last = ranges[row * 2 + 1];
    if (first < 0 || first >= last || last > vocabulary) {
      return -1;
    }
    const Ids ids{logits + row * vocabulary + first, weights + row * vocabulary + first,
                  static_cast<int>(last - first)};
    team.each([&](int thread) {
      if (thread == 0) {
        memory.total_low = 0;
        memory.total_high = 0;
        memory.greatest = 0;
        memory.first_greatest = 0xFFFFFFFFU;
      }
    });
    team.each([&](int thread) {
      std::uint32_t greatest = 0;
      for (int i = thread; i < ids.count; i += threads) {
        const std::uint32_t key = logit_key(ids.logits[i]);
        greatest = key > greatest ? key : greatest;
      }
      raise(memory.greatest, greatest);
    });
    const std::uint32_t greatest = memory.greatest;
    if (!drawable(greatest)) {
      return -1;
    }
    if (settings.greedy) {
      return first + first_greatest(team, ids, greatest, memory);
    }
    std::uint32_t threshold = 0;
    if (settings.top_k != 0 && settings.top_k < ids.count) {
      threshold = find_threshold(team, ids, static_cast<std::uint64_t>(settings.top_k), memory,
                                 [](int /*id*/) { return std::uint64_t{1}; });
    }
    weigh(team, ids, greatest, threshold, memory);
    if (settings.top_p != 0) {
      const std::uint64_t needed = needed_weight(settings.top_p, memory.total());
      threshold = find_threshold(team, ids, needed, memory, [&](int id) { return ids.weights[id]; });
    }
    const std::uint64_t random = random_bits(static_cast<std::uint64_t>(seed), static_cast<std::uint64_t>(streams[row]),
                                             static_cast<std::uint64_t>(*step));
    return first + draw_above(team, ids, threshold, random, memory);
  }

  template <class Team>
  B2M_HOST_DEVICE static int first_greatest(const Team& team, const Ids& ids, std::uint32_t greatest, Memory& memory) {
    team.each([&](int thread) {
      for (int i = thread; i < ids.count; i += threads) {
        if (logit_key(ids.logits[i]) == greatest) {
          lower(memory.first_greatest, static_cast<std::uint32_t>(i));
          break;
        }
      }
    });
    return static_cast<int>(memory.first_greatest);
  }

  /// Finds the greatest threshold for which `measure`, over the ids whose keys are at or above it, adds up to `needed`.
  template <class Team, class Measure>
  B2M_HOST_DEVICE static std::uint32_t find_threshold(const Team& team, const Ids& ids, std::uint64_t needed,
                                                      Memory& memory, const Measure& measure) {
    KeyThreshold threshold{0, needed};
    for (int shift = KeyDigits::first_shift; shift >= 0 && !threshold.exact; shift -= 8) {
      team.each([&](int thread) {
        for (int i = thread; i < KeyDigits::bins * copies; i += threads) {
          memory.low[i] = 0;
          memory.high[i] = 0;
        }
      });
      team.each([&](int thread) {
        for (int i = thread; i < ids.count; i += threads) {
          const std::uint32_t key = logit_key(ids.logits[i]);
          const std::uint64_t value = KeyDigits::begin_alike(key, threshold.key, shift) ? measure(i) : 0;
          if (value != 0) {
            const auto at = KeyDigits::at(key, shift) * copies + static_cast<unsigned>(thread % copies);
            add(memory.low[at], memory.high[at], value);
          }
        }
      });
      team.each([&](int thread) {
        std::uint64_t sum = 0;
        for (int i = thread * copies; i < (thread + 1) * copies; ++i) {
          sum += (std::uint64_t{memory.high[i]} << 32U) + memory.low[i];
        }
        memory.sums[thread] = sum;
      });
      add_groups(team, memory);
      int at = groups - 1;
      while (memory.group_sums[at] < threshold.needed) {
        threshold.needed -= memory.group_sums[at--];
      }
      int bin = (at + 1) * group - 1;
      while (!threshold.take(static_cast<std::uint32_t>(bin), memory.sums[bin], shift)) {
        --bin;
      }
      wait(team);
    }
    return threshold.key;
  }

  template <class Team>
  B2M_HOST_DEVICE static void add_groups(const Team& team, Memory& memory) {
    team.each([&](int thread) {
      if (thread < groups) {
        std::uint64_t sum = 0;
        for (int i = thread * group; i < (thread + 1) * group; ++i) {
          sum += memory.sums[i];
        }
        memory.group_sums[thread] = sum;
      }
    });
  }

  /// Writes the weights of the ids at or above the threshold, 0 for the others, and adds up their total.
  template <class Team>
  B2M_HOST_DEVICE void weigh(const Team& team, const Ids& ids, std::uint32_t greatest, std::uint32_t threshold,
                             Memory& memory) const {
    team.each([&](int thread) {
      std::uint64_t total = 0;
      for (int i = thread; i < ids.count; i += threads) {
        const bool kept = logit_key(ids.logits[i]) >= threshold;
        const std::uint64_t weight =
            kept ? logit_weight(ids.logits[i], key_logit(greatest), settings.sharpness) : std::uint64_t{0};
        ids.weights[i] = weight;
        total += weight;
      }
      add(memory.total_low, memory.total_high, total);
    });
  }

  /// Draws among the ids at or above the threshold. The row is cut into a stretch for each thread; the stretch in which
  /// the running sum exceeds the drawn weight is cut again, until a stretch is one id.
  template <class Team>
  B2M_HOST_DEVICE static int draw_above(const Team& team, const Ids& ids, std::uint32_t threshold, std::uint64_t random,
                                        Memory& memory) {
    int begin = 0;
    int end = ids.count;
    std::uint64_t drawn = 0;
    while (true) {
      const int stretch = (end - begin + threads - 1) / threads;
      team.each([&](int thread) {
        const int from = begin + thread * stretch;
        const int to = from + stretch < end ? from + stretch : end;
        std::uint64_t sum = 0;
        for (int i = from; i < to; ++i) {
          sum += logit_key(ids.logits[i]) >= threshold ? ids.weights[i] : 0;
        }
        memory.sums[thread] = sum;
      });
      add_groups(team, memory);
      if (begin == 0 && end == ids.count) {  // the first time
        std::uint64_t total = 0;
        for (const std::uint64_t sum : memory.group_sums) {
          total += sum;
        }
        drawn = drawn_weight(random, total);
      }
      int at = 0;
      while (drawn >= memory.group_sums[at]) {
        drawn -= memory.group_sums[at++];
      }
      at *= group;
      while (drawn >= memory.sums[at]) {
        drawn -= memory.sums[at++];
      }
      wait(team);
      if (stretch == 1) {
        return begin + at;
      }
      begin += at * stretch;
      end = begin + stretch < end ? begin + stretch : end;
    }
  }
};

}  // namespace brain2music::kernels
