#pragma once

#include <cstdint>
#include <cstring>

#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "brain2music/linalg/packed_int8_body.h"
#include "brain2music/linalg/packed_tile.h"
#include "brain2music/linalg/vector_lanes.h"

/// Products with packed weights, written once for vectors of 8 and of 16 numbers. Included by one file for each
/// instruction set; all of it has internal linkage, so that no file uses what was compiled for another.
namespace brain2music::linalg {
namespace {  // NOLINT(cert-dcl59-cpp,misc-anonymous-namespace-in-header): that is the point

// NOLINTBEGIN(modernize-avoid-c-arrays,cppcoreguidelines-avoid-c-arrays): std::array's functions have external linkage

constexpr int64_t cached = 1 << 16U;  // numbers of x that stay in the cache while the weights pass by

/// Weights of a block for one feature as float32, `lanes` in a vector, and which output each of them is.
template <Stored stored, int lanes>
struct Weights;

template <int lanes>
struct Weights<Stored::float32, lanes> {
  static constexpr int bytes = 4;
  static constexpr int output(int place) { return place; }
  [[gnu::always_inline]] static void read(const char* from, Vector<float, lanes>* to) {
    for (int i = 0; i < block / lanes; ++i) {
      to[i] = load<Vector<float, lanes>>(from + i * lanes * bytes);
    }
  }
};

template <>
struct Weights<Stored::bfloat16, 8> {
  static constexpr int bytes = 2;
  static constexpr int output(int place) { return place; }
  [[gnu::always_inline]] static void read(const char* from, Vector<float, 8>* to) {
    constexpr uint32_t upper = 0xffff0000;
    const auto words = load<Vector<uint32_t, 8>>(from);
    to[0] = reinterpret_cast<Vector<float, 8>>(words << 16U);
    to[1] = reinterpret_cast<Vector<float, 8>>(words & upper);
  }
};

template <>
struct Weights<Stored::bfloat16, 16> {
  static constexpr int bytes = 2;
  static constexpr int output(int place) { return place % 2 * (block / 2) + place / 2; }
  [[gnu::always_inline]] static void read(const char* from, Vector<float, 16>* to) {
    const auto halves = load<Vector<uint16_t, 16>>(from);
    to[0] = reinterpret_cast<Vector<float, 16>>(__builtin_convertvector(halves, Vector<uint32_t, 16>) << 16U);
  }
};

template <int lanes>
struct Weights<Stored::float16, lanes> {
  static constexpr int bytes = 2;
  static constexpr int output(int place) { return place; }
  [[gnu::always_inline]] static void read(const char* from, Vector<float, lanes>* to) {
#if defined(__AVX512F__)
    to[0] = reinterpret_cast<Vector<float, lanes>>(_mm512_cvtph_ps(load<__m256i>(from)));
#elif defined(__F16C__)
    const __m256 halves[2] = {_mm256_cvtph_ps(load<__m128i>(from)), _mm256_cvtph_ps(load<__m128i>(from + block))};
    std::memcpy(to, halves, sizeof halves);
#else
    const auto halves = load<Vector<_Float16, block>>(from);
    const auto whole = __builtin_convertvector(halves, Vector<float, block>);
    std::memcpy(to, &whole, sizeof whole);
#endif
  }
};

/// Rows of the tallest tile.
template <int lanes>
constexpr int most_rows = lanes == 8 ? 6 : 8;

/// Blocks of a tile of so many rows, whose sums fill most registers: 12 of 16, or 24 of 32. The sums of one block are
/// enough to keep the processor busy where rows are many. Measured: float32 weights come faster from several places at
/// a time, others are widened and come faster block by block.
template <Stored stored, int lanes>
constexpr int blocks_beside(int rows) {
  constexpr int most = 4;
  const int fit = (lanes == 8 ? 12 : 24) / (block / lanes * rows);
  if (fit < 1 || (rows == most_rows<lanes> && stored != Stored::float32)) {
    return 1;
  }
  return fit > most ? most : fit;
}

template <Stored stored, int lanes, int rows, int blocks, class Ahead>
void tile(const PackedProduct& product, int64_t row, int64_t first_block, Ahead ahead) {
  using Reader = Weights<stored, lanes>;
  constexpr int vectors = block / lanes;
  const int64_t features = product.features;
  const int64_t block_bytes = features * block * Reader::bytes;
  const float* const x = product.x + row * product.x_step;
  const auto* const weights = static_cast<const char*>(product.weights) + first_block * block_bytes;
  Vector<float, lanes> total[blocks][rows][vectors] = {};
  for (int64_t from = 0; from < features; from += piece) {
    const int64_t to = from + piece < features ? from + piece : features;
    Vector<float, lanes> sum[blocks][rows][vectors] = {};
    for (int64_t k = from; k < to; ++k) {
      ahead.fetch(k);
#pragma GCC unroll 4
      for (int b = 0; b < blocks; ++b) {
        Vector<float, lanes> weight[vectors];
        Reader::read(weights + b * block_bytes + k * block * Reader::bytes, weight);
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
          for (int v = 0; v < vectors; ++v) {
            sum[b][r][v] += x[r * product.x_step + k] * weight[v];
          }
        }
      }
    }
    for (int b = 0; b < blocks; ++b) {
      for (int r = 0; r < rows; ++r) {
        for (int v = 0; v < vectors; ++v) {
          total[b][r][v] += sum[b][r][v];
        }
      }
    }
  }
  for (int b = 0; b < blocks; ++b) {
    const int64_t output = (first_block + b) * block;
    const int64_t rest = product.outputs - output;
    const int count = rest < block ? static_cast<int>(rest) : block;
    for (int r = 0; r < rows; ++r) {
      float* const y = product.y + (row + r) * product.outputs + output;
      float sums[block];
      for (int place = 0; place < block; ++place) {
        sums[Reader::output(place)] = total[b][r][place / lanes][place % lanes];
      }
      for (int i = 0; i < count; ++i) {
        const float scaled = product.scale == nullptr ? sums[i] : sums[i] * product.scale[output + i];
        y[i] = product.bias == nullptr ? scaled : scaled + product.bias[output + i];
      }
    }
  }
}

template <Stored stored, int lanes, int rows, int blocks, class Ahead = NothingAhead>
void any_tile(const PackedProduct& product, int64_t row, int64_t first_block, Ahead ahead = {}) {
  if constexpr (stored == Stored::int8) {
    int8_tile<lanes, rows, blocks>(product, row, first_block, ahead);
  } else {
    tile<stored, lanes, rows, blocks>(product, row, first_block, ahead);
  }
}

constexpr int64_t bytes_of(Stored stored) {
  if (stored == Stored::float32) {
    return 4;
  }
  return stored == Stored::int8 ? 1 : 2;
}

/// Tiles of so many rows each, one above the other, block after block. While a block is multiplied, the next one is
/// fetched.
template <Stored stored, int lanes, int rows>
void block_by_block(const PackedProduct& product, int64_t row, int64_t count, int64_t first, int64_t last) {
  constexpr int64_t step = block * bytes_of(stored);
  const int64_t features = stored == Stored::int8 ? whole_features(product.features) : product.features;
  const auto* const weights = static_cast<const char*>(product.weights);
  const int64_t final_block = (product.outputs - 1) / block;
  for (int64_t b = first; b < last; ++b) {
    const char* const next = weights + (b < final_block ? b + 1 : b) * features * step;
    for (int64_t i = 0; i < count; ++i) {
      const PartAhead ahead{next + i * features * step / count, step / count};
      any_tile<stored, lanes, rows, 1>(product, row + i * rows, b, ahead);
    }
  }
}

template <Stored stored, int lanes, int rows>
void tiles(const PackedProduct& product, int64_t row, int64_t first, int64_t last) {
  constexpr int together = blocks_beside<stored, lanes>(rows);
  if constexpr (together > 1) {
    for (; first + together <= last; first += together) {
      any_tile<stored, lanes, rows, together>(product, row, first);
    }
  }
  block_by_block<stored, lanes, rows>(product, row, 1, first, last);
}

/// The tiles of at most so many rows, fewer than most_rows: as many as there are sizes for.
/// @return rows that were done
template <Stored stored, int lanes>
int some_rows(int64_t rows, const PackedProduct& product, int64_t row, int64_t first, int64_t last) {
  const auto done = [&]<int count>(Count<count>) {
    tiles<stored, lanes, count>(product, row, first, last);
    return count;
  };
  if constexpr (lanes > 8) {
    if (rows >= 6) {
      return done(Count<6>{});
    }
  }
  if (rows >= 4) {
    return done(Count<4>{});
  }
  if (rows == 3) {
    return done(Count<3>{});
  }
  return rows == 2 ? done(Count<2>{}) : done(Count<1>{});
}

template <Stored stored, int lanes>
void product_of(const PackedProduct& product, int64_t first, int64_t last) {
  constexpr int tall = most_rows<lanes>;
  const int64_t fit = cached / (product.features < 1 ? 1 : product.features);
  const int64_t at_once = fit < tall ? tall : fit / tall * tall;
  for (int64_t from = 0; from < product.rows; from += at_once) {
    const int64_t to = from + at_once < product.rows ? from + at_once : product.rows;
    const int64_t whole = (to - from) / tall;
    constexpr int64_t few = 4;  // blocks, which stay in the cache for all tiles of rows
    for (int64_t blocks = first; blocks < last; blocks += few) {
      const int64_t end = blocks + few < last ? blocks + few : last;
      if (whole > 1) {
        block_by_block<stored, lanes, tall>(product, from, whole, blocks, end);
      } else if (whole == 1) {
        tiles<stored, lanes, tall>(product, from, blocks, end);
      }
      for (int64_t row = from + whole * tall; row < to;) {
        row += some_rows<stored, lanes>(to - row, product, row, blocks, end);
      }
    }
  }
}

template <int lanes>
void product_of_any(const PackedProduct& product, int64_t first, int64_t last) {
  switch (product.stored) {
    case Stored::float32:
      return product_of<Stored::float32, lanes>(product, first, last);
    case Stored::bfloat16:
      return product_of<Stored::bfloat16, lanes>(product, first, last);
    case Stored::float16:
      return product_of<Stored::float16, lanes>(product, first, last);
    case Stored::int8:
      return product_of<Stored::int8, lanes>(product, first, last);
  }
}

// NOLINTEND(modernize-avoid-c-arrays,cppcoreguidelines-avoid-c-arrays)

}  // namespace
}  // namespace brain2music::linalg
