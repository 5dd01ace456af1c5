#include "brain2music/kernels/cosine_top_k_sketch.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "brain2music/kernels/cosine_top_k_body.h"
#include "brain2music/kernels/cosine_top_k_impl.h"

namespace brain2music::kernels {
namespace {

constexpr std::size_t lanes = 16;

/// Euclidean norm in float64; its sums run in more chains than product_sum's, since a sketch needs no certain order.
double quick_norm(const float* x, int64_t d) {
  std::array<double, lanes> sums{};
  int64_t i = 0;
  for (; i + static_cast<int64_t>(lanes) <= d; i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      sums[lane] += static_cast<double>(x[i + lane]) * static_cast<double>(x[i + lane]);
    }
  }
  double total = 0;
  for (; i < d; ++i) {
    total += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  for (const double sum : sums) {
    total += sum;
  }
  return std::sqrt(total);
}

/// Elements of a unit vector of length sketch_one, rounded to the nearest integer by adding, and taking off again, a
/// number so large that no fraction survives: unlike std::lrint, vector code.
template <class Real>
void round_scaled(const float* x, Real scale, int64_t d, int16_t* out) {
  constexpr Real large = std::is_same_v<Real, float> ? Real{0x1.8p23} : Real{0x1.8p52};
  for (int64_t i = 0; i < d; ++i) {
    out[i] = static_cast<int16_t>(static_cast<int32_t>((static_cast<Real>(x[i]) * scale + large) - large));
  }
}

/// The sketch of one row, `out` padded to an even number; false, and zeros, for a row without a direction.
bool sketch_row(const float* x, int64_t d, int16_t* out) {
  const double norm = quick_norm(x, d);
  if (!has_direction(norm)) {
    std::fill_n(out, d, int16_t{0});
    return false;
  }
  const double scale = sketch_one / norm;
  const auto narrow = static_cast<float>(scale);
  if (std::isnormal(narrow)) {
    round_scaled(x, narrow, d, out);
  } else {  // very long or very short vectors
    round_scaled(x, scale, d, out);
  }
  return true;
}

}  // namespace

void FirstBadRow::report(int64_t row) {
  int64_t seen = row_;
  while ((seen < 0 || row < seen) && !row_.compare_exchange_weak(seen, row)) {
  }
}

void FirstBadRow::check(const char* rows) const {
  if (row_ >= 0) {
    row_without_direction(rows, row_);
  }
}

void write_sketch(const at::Tensor& items, int64_t first, int64_t last, int16_t* out, FirstBadRow& bad) {
  const int64_t d = items.size(1);
  const int64_t pairs = sketch_pairs(d);
  const auto* data = items.const_data_ptr<float>();
  std::vector<int16_t> rows(static_cast<std::size_t>(sketch_rows * pairs * 2));
  for (int64_t block = first; block < last; ++block, out += sketch_block_values(d)) {
    for (int64_t r = 0; r < sketch_rows; ++r) {
      const int64_t row = block * sketch_rows + r;
      int16_t* values = rows.data() + r * pairs * 2;
      if (row >= items.size(0)) {
        std::fill_n(values, pairs * 2, int16_t{0});
      } else if (!sketch_row(data + row * d, d, values)) {
        bad.report(row);
      }
    }
    for (int64_t pair = 0; pair < pairs; ++pair) {
      for (int64_t r = 0; r < sketch_rows; ++r) {
        std::memcpy(out + (pair * sketch_rows + r) * 2, rows.data() + (r * pairs + pair) * 2, 2 * sizeof(int16_t));
      }
    }
  }
}

at::Tensor sketch_of(const at::Tensor& items) {
  const int64_t d = items.size(1);
  at::Tensor sketch = at::empty(sketch_shape(items.size(0), d), items.options().dtype(at::kShort));
  auto* out = sketch.mutable_data_ptr<int16_t>();
  FirstBadRow bad;
  at::parallel_for(0, sketch_blocks(items.size(0)), 64, [&](int64_t first, int64_t last) {
    write_sketch(items, first, last, out + first * sketch_block_values(d), bad);
  });
  bad.check("items");
  return sketch;
}

QuerySketch::QuerySketch(const at::Tensor& queries, int64_t first, int64_t last)
    : count_(sketch_pairs(queries.size(1))), pairs_(static_cast<std::size_t>((last - first) * count_)) {
  const int64_t d = queries.size(1);
  const auto* data = queries.const_data_ptr<float>();
  std::vector<int16_t> values(static_cast<std::size_t>(count_ * 2));
  for (int64_t query = 0; query < last - first; ++query) {
    const int64_t group_first = query / group * group;
    const int64_t width = std::min(group, last - first - group_first);
    (void)sketch_row(data + (first + query) * d, d, values.data());
    for (int64_t pair = 0; pair < count_; ++pair) {
      int32_t& out = pairs_[group_first * count_ + pair * width + query - group_first];
      std::memcpy(&out, values.data() + pair * 2, sizeof out);
    }
  }
}

template <int width>
BlockHits plain_next_hits(const int16_t* items, int64_t blocks, const int32_t* queries, int64_t pairs,
                          const int32_t* floors, BlockProducts<width>& products) {
  for (int64_t block = 0; block < blocks; ++block) {
    products = {};
    for (int64_t pair = 0; pair < pairs; ++pair, items += sketch_rows * 2) {
      for (int q = 0; q < width; ++q) {
        std::array<int16_t, 2> query{};
        std::memcpy(query.data(), queries + pair * width + q, sizeof query);
        for (int64_t r = 0; r < sketch_rows; ++r) {
          products[q][r] += int32_t{items[r * 2]} * query[0] + int32_t{items[r * 2 + 1]} * query[1];
        }
      }
    }
    uint64_t bits = 0;
    for (int q = 0; q < width; ++q) {
      for (int64_t r = 0; r < sketch_rows; ++r) {
        bits |= uint64_t{products[q][r] >= floors[q]} << (sketch_rows * q + r);
      }
    }
    if (bits != 0) {
      return {block, bits};
    }
  }
  return {blocks, 0};
}

#if defined(__AVX2__)
namespace {

using Eight = int32_t __attribute__((vector_size(32)));

uint64_t bits_of(Eight hits) { return static_cast<unsigned>(_mm256_movemask_ps(reinterpret_cast<__m256>(hits))); }

}  // namespace

template <int width>
BlockHits next_hits(const int16_t* items, int64_t blocks, const int32_t* queries, int64_t pairs, const int32_t* floors,
                    BlockProducts<width>& products) {
  struct Sums {
    Eight lower{};  // items 0 to 7
    Eight upper{};
  };
  const auto* values = reinterpret_cast<const __m256i*>(items);
  for (int64_t block = 0; block < blocks; ++block) {
    std::array<Sums, width> sums;
    int64_t pair = 0;
    do {  // at least once: a loop that might not run would keep the sums in memory
      const __m256i lower = _mm256_loadu_si256(values++);
      const __m256i upper = _mm256_loadu_si256(values++);
      for (int q = 0; q < width; ++q) {
        const __m256i query = _mm256_set1_epi32(queries[pair * width + q]);
        sums[q].lower += reinterpret_cast<Eight>(_mm256_madd_epi16(lower, query));
        sums[q].upper += reinterpret_cast<Eight>(_mm256_madd_epi16(upper, query));
      }
    } while (++pair < pairs);
    Eight any{};
    for (int q = 0; q < width; ++q) {
      any |= (sums[q].lower >= floors[q]) | (sums[q].upper >= floors[q]);
    }
    if (bits_of(any) != 0) [[unlikely]] {
      uint64_t bits = 0;
      for (int q = 0; q < width; ++q) {
        std::memcpy(products[q].data(), &sums[q].lower, sizeof(Eight));
        std::memcpy(products[q].data() + 8, &sums[q].upper, sizeof(Eight));
        bits |= (bits_of(sums[q].lower >= floors[q]) | bits_of(sums[q].upper >= floors[q]) << 8) << (sketch_rows * q);
      }
      return {block, bits};
    }
  }
  return {blocks, 0};
}
#else
template <int width>
BlockHits next_hits(const int16_t* items, int64_t blocks, const int32_t* queries, int64_t pairs, const int32_t* floors,
                    BlockProducts<width>& products) {
  return plain_next_hits<width>(items, blocks, queries, pairs, floors, products);
}
#endif

#define B2M_INSTANTIATE(width)                                                                                        \
  template B2M_API BlockHits next_hits<width>(const int16_t*, int64_t, const int32_t*, int64_t, const int32_t*,       \
                                              BlockProducts<width>&);                                                 \
  template B2M_API BlockHits plain_next_hits<width>(const int16_t*, int64_t, const int32_t*, int64_t, const int32_t*, \
                                                    BlockProducts<width>&)
B2M_INSTANTIATE(1);
B2M_INSTANTIATE(2);
B2M_INSTANTIATE(3);
B2M_INSTANTIATE(4);
#undef B2M_INSTANTIATE

}  // namespace brain2music::kernels
