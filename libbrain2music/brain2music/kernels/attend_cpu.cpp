#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <limits>
#include <numbers>
#include <vector>

#include "brain2music/kernels/attend_impl.h"
#include "brain2music/linalg/crew.h"

namespace brain2music::kernels {
namespace {

constexpr int64_t lanes = 8;
constexpr float infinity = std::numeric_limits<float>::infinity();
using Floats = float __attribute__((vector_size(lanes * sizeof(float))));
using Words = int32_t __attribute__((vector_size(lanes * sizeof(int32_t))));

/// Numbers of keys and values that a thread reads at least: some 10 microseconds.
constexpr int64_t numbers_of_a_thread = int64_t{1} << 16;

Floats load(const float* from) {
  Floats values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

void store(float* to, const Floats& values) { std::memcpy(to, &values, sizeof values); }

float sum_of(const Floats& v) { return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])); }

/// Lanes of two vectors by their numbers, those of the second from 8 on.
template <int... numbers>
Floats picked(const Floats& a, const Floats& b) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, numbers...);
#else
  return __builtin_shuffle(a, b, Words{numbers...});
#endif
}

/// Sums of eight vectors, one in each lane.
Floats sums_of(const std::array<Floats, lanes>& v) {
  const auto pairs = [](const Floats& a, const Floats& b) {
    return picked<0, 8, 2, 10, 4, 12, 6, 14>(a, b) + picked<1, 9, 3, 11, 5, 13, 7, 15>(a, b);
  };
  const auto fours = [](const Floats& a, const Floats& b) {
    return picked<0, 1, 8, 9, 4, 5, 12, 13>(a, b) + picked<2, 3, 10, 11, 6, 7, 14, 15>(a, b);
  };
  const Floats low = fours(pairs(v[0], v[1]), pairs(v[2], v[3]));
  const Floats high = fours(pairs(v[4], v[5]), pairs(v[6], v[7]));
  return picked<0, 1, 2, 3, 8, 9, 10, 11>(low, high) + picked<4, 5, 6, 7, 12, 13, 14, 15>(low, high);
}

/// Products of a query with eight keys.
Floats dots(const float* query, const std::array<const float*, lanes>& keys, int64_t size) {
  std::array<Floats, lanes> sums{};
  int64_t i = 0;
  for (; i + lanes <= size; i += lanes) {
    const Floats some = load(query + i);
    for (std::size_t key = 0; key < keys.size(); ++key) {
      sums[key] += some * load(keys[key] + i);
    }
  }
  Floats result = sums_of(sums);
  for (; i < size; ++i) {
    for (std::size_t key = 0; key < keys.size(); ++key) {
      result[key] += query[i] * keys[key][i];
    }
  }
  return result;
}

/// exp(x) for x <= 0, within 2 units of the last place: x = k ln 2 + r, a polynomial of r, and k in the exponent.
Floats exp_below_zero(Floats x) {
  constexpr float least = -87.0F;      // below it exp is no normal number any more: 0
  constexpr float ln2 = 0.693359375F;  // NOLINT(modernize-use-std-numbers): so few digits that k times it is exact
  constexpr float ln2_rest = -2.12194440e-4F;
  constexpr float round_off = 12582912.0F;  // 1.5 x 2^23: added to a small number, it leaves the nearest integer
  const Words small = x < least;
  const Floats k = (x * std::numbers::log2e_v<float> + round_off) - round_off;
  const Floats r = (x - k * ln2) - k * ln2_rest;
  // Cephes' expf.
  Floats p = Floats{} + 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  constexpr int bias = 127;
  constexpr int mantissa = 23;
  const Words power = (__builtin_convertvector(k, Words) + bias) << mantissa;
  const Floats result = p * reinterpret_cast<Floats>(power);
  return reinterpret_cast<Floats>(reinterpret_cast<Words>(result) & ~small);
}

/// Softmax of scores in place, padded to whole vectors by -Inf; the greatest of them is finite.
void softmax(std::vector<float>& scores) {
  Floats greatest = load(scores.data());
  for (std::size_t i = lanes; i < scores.size(); i += lanes) {
    const Floats next = load(scores.data() + i);
    greatest = greatest > next ? greatest : next;
  }
  float most = greatest[0];
  for (int64_t i = 1; i < lanes; ++i) {
    most = std::max(most, greatest[i]);
  }
  Floats sums{};
  for (std::size_t i = 0; i < scores.size(); i += lanes) {
    const Floats weights = exp_below_zero(load(scores.data() + i) - most);
    store(scores.data() + i, weights);
    sums += weights;
  }
  const float share = 1 / sum_of(sums);
  for (float& score : scores) {
    score *= share;
  }
}

/// A head's query, keys, values and result.
struct Head {
  const float* query;
  const float* key;
  int64_t key_step;
  const float* value;
  int64_t value_step;
  const float* mask;  ///< null for none
  int64_t mask_step;
  float* result;
  int64_t keys;
  int64_t size;
};

/// Attends head by head, and keeps its memory from one to the next.
class Attention {
 public:
  void attend(const Head& head, float scale) {
    look(head);
    if (seen_.empty()) {
      std::fill_n(head.result, head.size, 0.0F);
      return;
    }
    score(head, scale);
    softmax(scores_);
    constexpr int64_t wide = 8 * lanes;
    int64_t from = 0;
    for (; from + wide <= head.size; from += wide) {
      add_up<8>(head, from);
    }
    for (; from + lanes <= head.size; from += lanes) {
      add_up<1>(head, from);
    }
    for (; from < head.size; ++from) {
      float sum = 0;
      for (std::size_t i = 0; i < seen_.size(); ++i) {
        sum += scores_[i] * head.value[seen_[i] * head.value_step + from];
      }
      head.result[from] = sum;
    }
  }

 private:
  /// Lists the keys that are seen.
  void look(const Head& head) {
    seen_.clear();
    for (int64_t key = 0; key < head.keys; ++key) {
      if (head.mask == nullptr || head.mask[key * head.mask_step] != -infinity) {
        seen_.push_back(key);
      }
    }
  }

  void score(const Head& head, float scale) {
    const std::size_t whole = (seen_.size() + lanes - 1) / lanes * lanes;
    scores_.resize(whole);
    for (std::size_t first = 0; first < whole; first += lanes) {
      std::array<const float*, lanes> keys{};
      Floats added = Floats{} - infinity;  // behind the last key
      for (std::size_t i = 0; i < keys.size(); ++i) {
        const int64_t key = seen_[std::min(first + i, seen_.size() - 1)];
        keys[i] = head.key + key * head.key_step;
        if (first + i < seen_.size()) {
          added[i] = head.mask == nullptr ? 0 : head.mask[key * head.mask_step];
        }
      }
      store(scores_.data() + first, scale * dots(head.query, keys, head.size) + added);
    }
  }

  /// Adds up values by their weights, `vectors` of a row at a time, which stay in registers.
  template <std::size_t vectors>
  void add_up(const Head& head, int64_t from) const {
    std::array<Floats, vectors> sums{};
    for (std::size_t i = 0; i < seen_.size(); ++i) {
      const float* const row = head.value + seen_[i] * head.value_step + from;
      for (std::size_t v = 0; v < vectors; ++v) {
        sums[v] += scores_[i] * load(row + v * lanes);
      }
    }
    for (std::size_t v = 0; v < vectors; ++v) {
      store(head.result + from + v * lanes, sums[v]);
    }
  }

  std::vector<int64_t> seen_;
  std::vector<float> scores_;  // of the keys that are seen, to whole vectors
};

}  // namespace

at::Tensor attend_once_cpu(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                           const at::Tensor& mask, float scale) {
  at::Tensor result = at::empty(query.sizes(), query.options());
  const int64_t heads = query.size(1);
  const int64_t of_one_key = heads / key.size(1);
  const int64_t size = query.size(3);
  const auto head_of = [&](int64_t i) {
    const int64_t row = i / heads;
    const int64_t head = i % heads;
    const int64_t of_keys = head / of_one_key;
    return Head{query.const_data_ptr<float>() + row * query.stride(0) + head * query.stride(1),
                key.const_data_ptr<float>() + row * key.stride(0) + of_keys * key.stride(1),
                key.stride(2),
                value.const_data_ptr<float>() + row * value.stride(0) + of_keys * value.stride(1),
                value.stride(2),
                mask.defined() ? mask.const_data_ptr<float>() + row * mask.stride(0) + head * mask.stride(1) : nullptr,
                mask.defined() ? mask.stride(3) : 0,
                result.mutable_data_ptr<float>() + i * size,
                key.size(2),
                size};
  };
  const int64_t all = query.size(0) * heads;
  const int64_t share = std::max<int64_t>(1, numbers_of_a_thread / (2 * size * key.size(2)));
  linalg::share_out((all + share - 1) / share, [&](int64_t chunk) {
    thread_local Attention attention;
    for (int64_t i = chunk * share; i < std::min(all, (chunk + 1) * share); ++i) {
      attention.attend(head_of(i), scale);
    }
  });
  return result;
}

}  // namespace brain2music::kernels
