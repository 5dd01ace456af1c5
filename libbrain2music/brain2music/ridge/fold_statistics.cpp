#include "brain2music/ridge/fold_statistics.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/promote_types.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cstdint>

#include "brain2music/check.h"
#include "brain2music/device/full_precision.h"
#include "brain2music/ridge/design.h"
#include "brain2music/ridge/rows.h"

namespace brain2music::ridge {
namespace {

constexpr int64_t targets_at_once = 2048;

}  // namespace

FoldStatistics FoldStatistics::about(const at::Tensor& new_x_offset, const at::Tensor& new_y_offset) const {
  // x - new = (x - old) - d is a product with [I, -d; 0, 1] from the left on [X, 1]'.
  const int64_t p = features();
  const at::Tensor dx = new_x_offset - x_offset;
  const at::Tensor dy = new_y_offset - y_offset;
  at::Tensor shift = at::eye(p + 1, gram.options());
  shift.narrow(0, 0, p).narrow(1, p, 1).sub_(dx.unsqueeze(1));
  const at::Tensor sums = gram.narrow(2, p, 1);  // [X, 1]'1 of each fold
  const at::Tensor y_sums = cross.select(1, p);
  FoldStatistics moved{new_x_offset, new_y_offset, {}, {}, {}};
  moved.gram = at::matmul(at::matmul(shift, gram), shift.t());
  moved.cross = at::matmul(shift, cross - sums * dy);
  moved.y_squares = y_squares - y_sums * dy * 2 + gram.select(1, p).narrow(1, p, 1) * dy.square();
  return moved;
}

FoldStatistics FoldStatistics::operator+(const FoldStatistics& other) const {
  FoldStatistics sum{x_offset, y_offset, gram.clone(), cross.clone(), y_squares.clone()};
  sum += other;
  return sum;
}

FoldStatistics& FoldStatistics::operator+=(const FoldStatistics& other) {
  require(gram.sizes() == other.gram.sizes() && cross.sizes() == other.cross.sizes(), "ridge.FoldStatistics",
          "statistics that are added must have equal folds, features and targets; got ", gram.sizes(), " and ",
          cross.sizes(), " beside ", other.gram.sizes(), " and ", other.cross.sizes());
  const FoldStatistics moved = other.about(x_offset, y_offset);
  gram.add_(moved.gram);
  cross.add_(moved.cross);
  y_squares.add_(moved.y_squares);
  return *this;
}

FoldStatistics fold_statistics(const at::Tensor& x, const at::Tensor& y, const Folds& folds,
                               const at::Tensor& sample_weight) {
  constexpr auto where = "ridge.fold_statistics";
  const device::FullPrecision full_precision;
  check_matrix(x, "X", where);
  check_matrix(y, "Y", where);
  require(x.size(0) == y.size(0) && x.size(0) == folds.rows, where, "X, Y and folds must have equal rows; got ",
          x.sizes(), ", ", y.sizes(), " and folds of ", folds.rows, " rows");
  const Folds sorted = sorted_folds(folds, x.size(0), where);
  for (int64_t fold = 0; fold < sorted.size(); ++fold) {
    require(!sorted.has_gap(fold), where,
            "a fold must train on all rows that it does not hold out, since statistics know the held-out rows alone; "
            "got rows that are left out of both in fold ",
            fold);
  }
  const at::ScalarType type = at::promote_types(working_type(x.scalar_type()), working_type(y.scalar_type()));
  require_finite(x, "X", where);
  require_finite(y, "Y", where);
  const at::Tensor roots =
      sample_weight.defined() ? checked_roots(sample_weight, sorted, 0, x.device(), where) : at::Tensor();
  CenteredRows a = centered_rows(x.to(type), /*ones=*/true, /*zero=*/false);
  if (roots.defined()) {
    a.values.mul_(roots.to(type).unsqueeze(1));
  }
  const at::TensorOptions wide = a.offset.options();
  const int64_t slots = sorted.size() + 1;
  FoldStatistics statistics{a.offset, at::empty({y.size(1)}, wide), fold_gram(a.values, sorted),
                            at::empty({slots, x.size(1) + 1, y.size(1)}, wide), at::empty({slots, y.size(1)}, wide)};
  for (int64_t first = 0; first < y.size(1); first += targets_at_once) {  // Y may be larger than memory
    const int64_t targets = std::min(targets_at_once, y.size(1) - first);
    CenteredRows b = centered_rows(y.narrow(1, first, targets).to(type), /*ones=*/false, /*zero=*/false);
    if (roots.defined()) {
      b.values.mul_(roots.to(type).unsqueeze(1));
    }
    statistics.y_offset.narrow(0, first, targets).copy_(b.offset);
    statistics.cross.narrow(2, first, targets).copy_(fold_products(a.values, b.values, sorted));
    statistics.y_squares.narrow(1, first, targets).copy_(fold_moments(b.values, sorted).squares);
  }
  return statistics;
}

}  // namespace brain2music::ridge
