#include "brain2music/ridge/penalty_path.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/trace.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <vector>

#include "brain2music/ridge/factors.h"
#include "brain2music/ridge/packed_cholesky.h"
#include "brain2music/ridge/packed_matrix.h"
#include "brain2music/ridge/penalty_nodes.h"

namespace brain2music::ridge {
namespace {

using registers::block;
using registers::Tile;

// Sums that are made of others' are as exact as those, but for this share.
constexpr double made_in_single = 1e-6;
constexpr double made_in_double = 1e-12;

/// A sum for each target of a panel: vectors, added up in float64 from time to time.
template <class Real>
class PanelSum {
 public:
  void add(const registers::Vector<Real>& left, const registers::Vector<Real>& right) {
    part_[0] += left;
    part_[1] += right;
  }

  void flush() {
    for (std::size_t half = 0; half < 2; ++half) {
      for (int64_t lane = 0; lane < registers::lanes<Real>; ++lane) {
        total_[half * registers::lanes<Real> + lane] += static_cast<double>(part_[half][lane]);
      }
      part_[half] = registers::Vector<Real>{};
    }
  }

  void to(double* values, int64_t count) const { std::copy_n(total_.begin(), count, values); }

 private:
  std::array<registers::Vector<Real>, 2> part_{};
  std::array<double, registers::columns<Real>> total_{};
};

/// The parts of a fold that all penalties share, packed.
template <class Real>
struct PackedFold {
  explicit PackedFold(const FoldSystem& fold)
      : features(fold.train.size(0)),
        targets(fold.right.size(1)),
        train(fold.train),
        squares(fold.squares),
        right(fold.right),
        cross(fold.cross),
        sum(fold.sum.to(c10::CppTypeToScalarType<Real>::value)),
        by_rows(fold.by_rows) {}

  int64_t features;
  int64_t targets;
  PackedMatrix<Real> train;
  PackedMatrix<Real> squares;
  Panels<Real> right;
  Panels<Real> cross;
  at::Tensor sum;
  bool by_rows;
};

/// Squared predictions, added up over the held-out rows themselves.
template <class Real>
void add_squares_by_rows(const PackedMatrix<Real>& rows, const Real* panel, PanelSum<Real>& sum) {
  constexpr int64_t columns = registers::columns<Real>;
  for (int64_t row = 0; row < rows.rows(); row += registers::rows) {
    Tile<Real> predicted;
    for (int64_t column = 0; column < rows.block_columns(); ++column) {
      predicted.template add<block, 1, columns>(rows.at(column, row), panel + column * block * columns,
                                                rows.columns_of(column));
    }
    predicted.each(
        [&](int64_t, const registers::Row<Real>& its) { sum.add(its.left * its.left, its.right * its.right); });
    if ((row + registers::rows) % block == 0 || row + registers::rows >= rows.rows()) {
      sum.flush();
    }
  }
}

/// The same by their Gram matrix, each product of two features once: those left of a tile's diagonal count twice.
template <class Real>
void add_squares_by_gram(const PackedMatrix<Real>& gram, const Real* panel, PanelSum<Real>& sum) {
  constexpr int64_t columns = registers::columns<Real>;
  for (int64_t row = 0; row < gram.rows(); row += registers::rows) {
    const int64_t diagonal = row / block;
    const int64_t within = row % block;
    Tile<Real> image;
    for (int64_t column = 0; column < diagonal; ++column) {
      image.template add<block, 1, columns>(gram.at(column, row), panel + column * block * columns, block);
    }
    image.template add<block, 1, columns>(gram.at(diagonal, row), panel + diagonal * block * columns, within);
    image.each([](int64_t, registers::Row<Real>& its) {
      its.left += its.left;
      its.right += its.right;
    });
    image.template add<block, 1, columns>(gram.at(diagonal, row) + within, panel + row * columns, registers::rows);
    image.each([&](int64_t number, const registers::Row<Real>& its) {
      const Real* solution = panel + (row + number) * columns;
      sum.add(its.left * registers::load(solution), its.right * registers::load(solution + registers::lanes<Real>));
    });
    if (within + registers::rows == block || row + registers::rows >= gram.rows()) {
      sum.flush();
    }
  }
}

/// One fold's sums, filled in penalty by penalty.
template <class Real>
class Path {
 public:
  Path(const FoldSystem& system, const std::vector<double>& alphas, const std::function<void()>& between,
       const HeldOutSums& sums)
      : fold_(system), alphas_(alphas), between_(between), sums_(sums), factor_(fold_.features) {}

  /// False where the matrix with this penalty is not positive definite in Real.
  bool factor(int64_t penalty) {
    if (penalty == factored_) {
      return true;
    }
    if (between_) {
      between_();
    }
    factored_ = factor_.factor(fold_.train, alphas_[static_cast<std::size_t>(penalty)]) ? penalty : -1;
    return factored_ == penalty;
  }

  double smallest_eigenvalue() const { return factor_.smallest_eigenvalue(); }

  /// Fills in the sums of the penalty that was factored last.
  void sum_up() const {
    at::parallel_for(0, fold_.right.count(), 1, [&](int64_t begin, int64_t end) {
      Panels<Real> solutions(fold_.features, columns * std::min(PackedCholesky<Real>::panels_at_once, end - begin));
      for (int64_t first = begin; first < end; first += solutions.count()) {
        const int64_t count = std::min(solutions.count(), end - first);
        factor_.solve(fold_.right.at(first), solutions.at(0), solutions.step(), count);
        for (int64_t number = 0; number < count; ++number) {
          sum_up(first + number, solutions.at(number));
        }
      }
    });
  }

 private:
  static constexpr int64_t columns = registers::columns<Real>;

  /// One panel of targets and its solutions.
  void sum_up(int64_t number, const Real* solutions) const {
    PanelSum<Real> predicted;
    PanelSum<Real> product;
    PanelSum<Real> squares;
    const Real* held = fold_.sum.template const_data_ptr<Real>();
    const Real* cross = fold_.cross.at(number);
    for (int64_t row = 0; row < fold_.features; ++row, solutions += columns, cross += columns) {
      const registers::Vector<Real> left = registers::load(solutions);
      const registers::Vector<Real> right = registers::load(solutions + registers::lanes<Real>);
      predicted.add(held[row] * left, held[row] * right);
      product.add(left * registers::load(cross), right * registers::load(cross + registers::lanes<Real>));
      if (row % block == block - 1 || row == fold_.features - 1) {
        predicted.flush();
        product.flush();
      }
    }
    solutions -= fold_.features * columns;
    if (fold_.by_rows) {
      add_squares_by_rows(fold_.squares, solutions, squares);
    } else {
      add_squares_by_gram(fold_.squares, solutions, squares);
    }
    const int64_t first = number * columns;
    const int64_t count = std::min(columns, fold_.targets - first);
    const int64_t offset = factored_ * fold_.targets + first;
    predicted.to(sums_.predicted.mutable_data_ptr<double>() + offset, count);
    product.to(sums_.product.mutable_data_ptr<double>() + offset, count);
    squares.to(sums_.squares.mutable_data_ptr<double>() + offset, count);
  }

  PackedFold<Real> fold_;
  const std::vector<double>& alphas_;
  const std::function<void()>& between_;
  const HeldOutSums& sums_;
  PackedCholesky<Real> factor_;
  int64_t factored_ = -1;
};

/// Nodes among some penalties, by the extreme eigenvalues without any penalty; the smallest may be off by the least
/// one.
PenaltyNodes choose_among(const std::vector<double>& alphas, const std::vector<int64_t>& penalties, double smallest,
                          double largest, double tolerance) {
  double least = std::numeric_limits<double>::infinity();
  for (const int64_t penalty : penalties) {
    least = std::min(least, alphas[static_cast<std::size_t>(penalty)]);
  }
  return choose_nodes(alphas, penalties, std::max(smallest, 0.0) + least, largest + least, tolerance);
}

/// As many penalties as float32 does for; returns the others.
std::vector<int64_t> sum_up_in_single(const FoldSystem& system, const std::vector<double>& alphas, double largest,
                                      const std::function<void()>& between, const HeldOutSums& sums) {
  Path<float> path(system, alphas, between, sums);
  const auto least = std::ranges::min_element(alphas) - alphas.begin();
  const double alpha = alphas[static_cast<std::size_t>(least)];
  const double smallest = path.factor(least) ? path.smallest_eigenvalue() : 0;
  const SinglePrecision precision(alpha, largest + alpha, smallest);
  std::vector<int64_t> in_single;
  std::vector<int64_t> in_double;
  for (std::size_t i = 0; i < alphas.size(); ++i) {
    (precision.suffices(alphas[i]) ? in_single : in_double).push_back(static_cast<int64_t>(i));
  }
  if (in_single.empty()) {
    return in_double;
  }
  const PenaltyNodes nodes = choose_among(alphas, in_single, smallest - alpha, largest, made_in_single);
  for (const int64_t node : nodes.nodes) {
    if (!path.factor(node)) {  // none above the least penalty should fail
      std::ranges::copy(in_single, std::back_inserter(in_double));
      return in_double;
    }
    path.sum_up();
  }
  nodes.make_others(sums);
  return in_double;
}

void sum_up_in_double(const FoldSystem& system, const std::vector<double>& alphas,
                      const std::vector<int64_t>& penalties, const std::function<void()>& between,
                      const HeldOutSums& sums) {
  Path<double> path(system, alphas, between, sums);
  const auto factor = [&](int64_t penalty) {
    if (!path.factor(penalty)) {
      refuse_penalty(alphas[static_cast<std::size_t>(penalty)]);
    }
  };
  const int64_t least =
      *std::ranges::min_element(penalties, {}, [&](int64_t i) { return alphas[static_cast<std::size_t>(i)]; });
  factor(least);
  const double smallest = path.smallest_eigenvalue() - alphas[static_cast<std::size_t>(least)];
  const auto largest = at::trace(system.train).item<double>();  // no eigenvalue is larger
  const PenaltyNodes nodes = choose_among(alphas, penalties, smallest, largest, made_in_double);
  for (const int64_t node : nodes.nodes) {
    factor(node);
    path.sum_up();
  }
  nodes.make_others(sums);
}

}  // namespace

void packed_sums(const FoldSystem& system, const std::vector<double>& alphas, double largest,
                 const std::function<void()>& between, const HeldOutSums& sums) {
  std::vector<int64_t> in_double(alphas.size());
  std::iota(in_double.begin(), in_double.end(), 0);
  if (largest > 0) {
    in_double = sum_up_in_single(system, alphas, largest, between, sums);
  }
  if (!in_double.empty()) {
    sum_up_in_double(system, alphas, in_double, between, sums);
  }
}

}  // namespace brain2music::ridge
