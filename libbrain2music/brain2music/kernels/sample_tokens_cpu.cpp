#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>

#include "brain2music/check.h"
#include "brain2music/kernels/sample_tokens_impl.h"

namespace brain2music::kernels {
namespace {

constexpr int64_t ids_a_thread = int64_t{1} << 16;  // they take 0.1 ms; waking a thread for less does not pay

// The compiler turns these loops over plain arrays into vector code.

/// Writes the keys of logits; returns the greatest.
uint32_t write_keys(const float* __restrict logits, int64_t count, uint32_t* __restrict keys) {
  uint32_t greatest = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t key = logit_key(logits[i]);
    keys[i] = key;
    greatest = key > greatest ? key : greatest;
  }
  return greatest;
}

void write_weights(const uint32_t* __restrict keys, int64_t count, float greatest, double sharpness,
                   uint64_t* __restrict weights) {
  for (int64_t i = 0; i < count; ++i) {
    weights[i] = logit_weight(key_logit(keys[i]), greatest, sharpness);
  }
}

uint64_t sum_of(const uint64_t* weights, int64_t count) {
  uint64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    sum += weights[i];
  }
  return sum;
}

/// Writes the places of the keys at or above the threshold, in order; returns their number. There is no branch, since
/// none could be predicted.
int64_t find_from(uint32_t threshold, const uint32_t* __restrict keys, int64_t count, int32_t* __restrict places) {
  int64_t found = 0;
  for (int64_t i = 0; i < count; ++i) {
    places[found] = static_cast<int32_t>(i);
    found += keys[i] >= threshold ? 1 : 0;
  }
  return found;
}

/// Counts the keys at or above the threshold.
int64_t count_from(uint32_t threshold, const uint32_t* keys, int64_t count) {
  uint32_t found = 0;
  for (int64_t i = 0; i < count; ++i) {
    found += keys[i] >= threshold ? 1 : 0;
  }
  return found;
}

/// Counts the keys that begin with the digits of the threshold down to `shift`.
int64_t count_alike(uint32_t threshold, int shift, const uint32_t* keys, int64_t count) {
  uint32_t alike = 0;
  for (int64_t i = 0; i < count; ++i) {
    alike += (keys[i] ^ threshold) >> shift == 0 ? 1 : 0;
  }
  return alike;
}

using Sums = std::array<uint64_t, KeyDigits::bins>;

/// Adds up the weights of the keys that begin as the threshold does, by their next digit; without weights, counts them.
/// Sums are kept in several copies, so that an addition seldom waits for the one before it.
template <class Sum, int64_t copies>
Sums sums_of_digits(const KeyThreshold& threshold, int shift, const uint32_t* keys, const uint64_t* weights,
                    int64_t count) {
  std::array<std::array<Sum, KeyDigits::bins>, copies> parts{};
  const auto add = [&](int64_t copy, int64_t i) {
    // A mask takes the place of a branch, which could not be predicted.
    const Sum mask = Sum{0} - static_cast<Sum>(KeyDigits::begin_alike(keys[i], threshold.key, shift));
    parts[copy][KeyDigits::at(keys[i], shift)] += mask & static_cast<Sum>(weights == nullptr ? 1 : weights[i]);
  };
  int64_t i = 0;
  for (; i + copies <= count; i += copies) {
    for (int64_t copy = 0; copy < copies; ++copy) {
      add(copy, i + copy);
    }
  }
  for (; i < count; ++i) {
    add(0, i);
  }
  Sums sums{};
  for (const auto& part : parts) {
    for (int bin = 0; bin < KeyDigits::bins; ++bin) {
      sums[bin] += part[bin];
    }
  }
  return sums;
}

// NOLINTBEGIN(modernize-avoid-c-arrays): a vector would be filled with zeros first, which takes as long as a draw.
template <class T>
using Buffer = std::unique_ptr<T[]>;

template <class T>
Buffer<T> buffer_of(int64_t count) {
  return std::make_unique_for_overwrite<T[]>(static_cast<std::size_t>(count));
}
// NOLINTEND(modernize-avoid-c-arrays)

/// Draws from one row after another. The ids that may still be drawn stand side by side, in order. Each cut leaves
/// fewer of them, and only the ids that top-k leaves are weighed.
class RowSampler {
 public:
  RowSampler(int64_t vocabulary, const SampleSettings& settings)
      : settings_(settings),
        keys_(buffer_of<uint32_t>(vocabulary)),
        ids_(buffer_of<int32_t>(vocabulary)),
        places_(buffer_of<int32_t>(vocabulary)),
        weights_(buffer_of<uint64_t>(vocabulary)) {}

  /// Returns the place of the token among `count` logits, or -1 if there is none.
  int64_t draw(const float* logits, int64_t count, uint64_t random) {
    count_ = count;
    whole_ = true;
    uint32_t* keys = keys_.get();
    const uint32_t greatest = write_keys(logits, count, keys);
    if (!drawable(greatest)) {
      return -1;
    }
    if (settings_.greedy) {
      return std::find(keys, keys + count, greatest) - keys;
    }
    if (settings_.top_k != 0 && settings_.top_k < count) {
      cut<false>(static_cast<uint64_t>(settings_.top_k));
    }
    write_weights(keys, count_, key_logit(greatest), settings_.sharpness, weights_.get());
    uint64_t total = sum_of(weights_.get(), count_);
    if (settings_.top_p != 0) {
      cut<true>(needed_weight(settings_.top_p, total));
      total = sum_of(weights_.get(), count_);
    }
    const int64_t at = find(drawn_weight(random, total));
    return whole_ ? at : ids_[at];
  }

 private:
  /// Leaves the fewest greatest keys that add up to `needed`, in weight or in number, and those equal to the last.
  template <bool weighted>
  void cut(uint64_t needed) {
    constexpr int64_t few = 1024;  // keys: clearing and adding up copies takes longer than waiting
    KeyThreshold threshold{0, needed};
    for (int shift = KeyDigits::first_shift; shift >= 0 && !threshold.exact; shift -= 8) {
      const auto many = weighted ? &sums_of_digits<uint64_t, 4> : &sums_of_digits<uint32_t, 8>;
      const auto add = count_ <= few ? &sums_of_digits<uint64_t, 1> : many;
      const Sums sums = add(threshold, shift, keys_.get(), weighted ? weights_.get() : nullptr, count_);
      uint32_t bin = KeyDigits::bins - 1;
      while (!threshold.take(bin, sums[bin], shift)) {
        --bin;
      }
      threshold.exact = threshold.exact || count_alike(threshold.key, shift, keys_.get(), count_) == 1;
      if (count_from(threshold.key, keys_.get(), count_) < count_ / 2) {  // moving more takes longer than it saves
        keep_from<weighted>(threshold.key);
      }
    }
    keep_from<weighted>(threshold.key);
  }

  template <bool weighted>
  void keep_from(uint32_t threshold) {
    uint32_t* keys = keys_.get();
    int32_t* ids = ids_.get();
    const int32_t* places = places_.get();
    uint64_t* weights = weights_.get();
    const int64_t kept = find_from(threshold, keys, count_, places_.get());
    if (kept == count_) {
      return;
    }
    for (int64_t i = 0; i < kept; ++i) {  // places are not below i: nothing is overwritten before it is read
      keys[i] = keys[places[i]];
      if constexpr (weighted) {
        weights[i] = weights[places[i]];
      }
    }
    for (int64_t i = 0; i < kept; ++i) {
      ids[i] = whole_ ? places[i] : ids[places[i]];
    }
    whole_ = false;
    count_ = kept;
  }

  /// Returns the first place whose running sum of weights exceeds `drawn`.
  int64_t find(uint64_t drawn) const {
    constexpr int64_t stretch = 64;
    const uint64_t* weights = weights_.get();
    int64_t at = 0;
    for (; at + stretch < count_; at += stretch) {
      const uint64_t sum = sum_of(weights + at, stretch);
      if (drawn < sum) {
        break;
      }
      drawn -= sum;
    }
    while (drawn >= weights[at]) {
      drawn -= weights[at++];
    }
    return at;
  }

  const SampleSettings& settings_;
  int64_t count_ = 0;  // of ids that may still be drawn
  bool whole_ = true;  // none was cut: an id is its place
  Buffer<uint32_t> keys_;
  Buffer<int32_t> ids_;
  Buffer<int32_t> places_;
  Buffer<uint64_t> weights_;
};

}  // namespace

at::Tensor sample_tokens_cpu(const at::Tensor& logits, const at::Tensor& ranges, const at::Tensor& streams,
                             const at::Tensor& step, int64_t seed, const SampleSettings& settings) {
  const int64_t n = logits.size(0);
  const int64_t vocabulary = logits.size(1);
  const auto* range = ranges.const_data_ptr<int64_t>();
  for (int64_t row = 0; row < n; ++row) {
    const int64_t first = range[row * 2];
    const int64_t last = range[row * 2 + 1];
    require(first >= 0 && first < last && last <= vocabulary, "kernels.sample_tokens",
            "each range must hold ids of the vocabulary, 0 <= first < last <= ", vocabulary, "; got ", first, " and ",
            last, " in row ", row);
  }
  at::Tensor tokens = at::empty({n}, streams.options());
  const auto* data = logits.const_data_ptr<float>();
  const auto* stream = streams.const_data_ptr<int64_t>();
  const int64_t at_step = *step.const_data_ptr<int64_t>();
  auto* out = tokens.mutable_data_ptr<int64_t>();
  at::parallel_for(0, n, std::max<int64_t>(1, ids_a_thread / vocabulary), [&](int64_t begin, int64_t end) {
    RowSampler sampler(vocabulary, settings);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t first = range[row * 2];
      const int64_t at = sampler.draw(
          data + row * vocabulary + first, range[row * 2 + 1] - first,
          random_bits(static_cast<uint64_t>(seed), static_cast<uint64_t>(stream[row]), static_cast<uint64_t>(at_step)));
      out[row] = at < 0 ? -1 : first + at;
    }
  });
  return tokens;
}

}  // namespace brain2music::kernels
