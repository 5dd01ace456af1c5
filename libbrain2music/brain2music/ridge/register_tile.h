#pragma once

#include <cstdint>
#include <cstring>

/// Products of small blocks whose sums stay in registers: what the solvers on a CPU spend their time in. Written for
/// the vector extension of GCC and Clang, so that one source does for every processor.
namespace brain2music::ridge::registers {

template <class Real>
struct VectorOf {
  static constexpr int64_t bytes = 32;
  // NOLINTNEXTLINE(modernize-use-using): an alias cannot carry the attribute where Real is a parameter
  typedef Real Type __attribute__((vector_size(bytes)));
};

template <class Real>
using Vector = typename VectorOf<Real>::Type;  // NOLINT(readability-redundant-typename): not before Clang 16

template <class Real>
constexpr int64_t lanes = VectorOf<Real>::bytes / static_cast<int64_t>(sizeof(Real));

// Of a tile: twelve registers of sums, one for what comes from the left, two for the right, which leaves one of 16.
constexpr int64_t rows = 6;

template <class Real>
constexpr int64_t columns = 2 * lanes<Real>;

/// Rows and columns of a block of a matrix: whole tiles both ways, in float32 and in float64.
constexpr int64_t block = 48;

constexpr int64_t whole_tiles(int64_t size) { return (size + rows - 1) / rows * rows; }

constexpr int64_t blocks_of(int64_t size) { return (size + block - 1) / block; }

template <class Real>
Vector<Real> load(const Real* from) {
  Vector<Real> vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

template <class Real>
void store(Real* to, const Vector<Real>& vector) {
  std::memcpy(to, &vector, sizeof vector);
}

/// A row of a tile.
template <class Real>
struct Row {
  Vector<Real> left{};
  Vector<Real> right{};

  [[gnu::always_inline]] void add(Real factor, const Vector<Real>& its_left, const Vector<Real>& its_right) {
    left += factor * its_left;
    right += factor * its_right;
  }
};

/// A tile of sums, (rows, columns); a member for each row, since compilers keep these in registers, but not an array.
template <class Real>
struct Tile {
  Row<Real> row0, row1, row2, row3, row4, row5;

  /// Adds a b, a (rows, count) with elements `row_step` and `step` apart, b (count, columns) with rows `b_step` apart.
  template <int64_t row_step, int64_t step, int64_t b_step>
  [[gnu::always_inline]] void add(const Real* a, const Real* b, int64_t count) {
    for (int64_t k = 0; k < count; ++k, a += step, b += b_step) {
      const Vector<Real> left = load(b);
      const Vector<Real> right = load(b + lanes<Real>);
      row0.add(a[0], left, right);
      row1.add(a[row_step], left, right);
      row2.add(a[2 * row_step], left, right);
      row3.add(a[3 * row_step], left, right);
      row4.add(a[4 * row_step], left, right);
      row5.add(a[5 * row_step], left, right);
    }
  }

  /// Calls use(row number, row) for each row.
  template <class Use>
  [[gnu::always_inline]] void each(const Use& use) {
    use(0, row0);
    use(1, row1);
    use(2, row2);
    use(3, row3);
    use(4, row4);
    use(5, row5);
  }

  void to(Real* values, int64_t row_step) {
    each([&](int64_t number, const Row<Real>& row) {
      store(values + number * row_step, row.left);
      store(values + number * row_step + lanes<Real>, row.right);
    });
  }

  void add_to(Real* values, int64_t row_step) {
    each([&](int64_t number, const Row<Real>& row) {
      Real* its = values + number * row_step;
      store(its, load(its) + row.left);
      store(its + lanes<Real>, load(its + lanes<Real>) + row.right);
    });
  }

  /// What is left of `from` without the sums.
  void to_rest(Real* values, const Real* from, int64_t row_step) {
    each([&](int64_t number, const Row<Real>& row) {
      const Real* its = from + number * row_step;
      store(values + number * row_step, load(its) - row.left);
      store(values + number * row_step + lanes<Real>, load(its + lanes<Real>) - row.right);
    });
  }
};

}  // namespace brain2music::ridge::registers
