#include "brain2music/ridge/rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/all.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/ridge/packed_gram.h"
#include "brain2music/ridge/training_rows.h"

namespace brain2music::ridge {
namespace {

// Rows of a float32 product: rounding grows with them, so longer sums are added up in float64.
constexpr int64_t rows_at_once = 256;

// Rows copied together where they are not neighbours.
constexpr int64_t gathered_rows = 4096;

// Below so many columns the two halves of a symmetric product are not worth telling apart.
constexpr int64_t gram_columns = 96;

/// Adds x'x to `sum`, all but what symmetry gives.
void add_lower_gram(const at::Tensor& x, const at::Tensor& sum) {  // NOLINT(misc-no-recursion)
  const int64_t columns = x.size(1);
  if (columns <= gram_columns) {
    at::addmm_out(const_cast<at::Tensor&>(sum), sum, x.t(), x);
    return;
  }
  const int64_t half = columns / 2;
  const at::Tensor left = x.narrow(1, 0, half);
  const at::Tensor right = x.narrow(1, half, columns - half);
  at::Tensor corner = sum.narrow(0, half, columns - half).narrow(1, 0, half);
  at::addmm_out(corner, corner, right.t(), left);
  add_lower_gram(left, sum.narrow(0, 0, half).narrow(1, 0, half));
  add_lower_gram(right, sum.narrow(0, half, columns - half).narrow(1, half, columns - half));
}

/// Fills in what add_lower_gram left to symmetry.
void mirror(const at::Tensor& sums) {  // NOLINT(misc-no-recursion)
  const int64_t columns = sums.size(2);
  if (columns <= gram_columns) {
    return;
  }
  const int64_t half = columns / 2;
  const at::Tensor corner = sums.narrow(1, half, columns - half).narrow(2, 0, half);
  sums.narrow(1, 0, half).narrow(2, half, columns - half).copy_(corner.transpose(1, 2));
  mirror(sums.narrow(1, 0, half).narrow(2, 0, half));
  mirror(sums.narrow(1, half, columns - half).narrow(2, half, columns - half));
}

/// Calls add(sum, rows) for all rows of each fold, then makes the slot of all rows: the sum of the others where each
/// row is held out once, else a pass over all rows. Of a fold with a gap, adds up the rows trained on, or takes those
/// in the gap and those held out from all, whichever costs fewer rows.
template <class Add>
void each_fold(const Folds& folds, const at::Tensor& sums, const Add& add) {
  for (int64_t fold = 0; fold < folds.size(); ++fold) {
    add(sums[fold], folds.held_out[static_cast<std::size_t>(fold)]);
  }
  at::Tensor all = sums[folds.size()];
  if (is_partition(folds)) {
    at::sum_out(all, sums.narrow(0, 0, folds.size()), at::IntArrayRef{0});
  } else {
    add(all, at::arange(folds.rows, at::kLong));
  }
  for (int64_t fold = 0; fold < folds.size(); ++fold) {
    if (!folds.has_gap(fold)) {
      continue;
    }
    at::Tensor sum = sums[training_slot(folds, fold)];
    const at::Tensor train = training_rows(folds, fold);
    const at::Tensor gap = gap_rows(folds, fold);
    if (train.numel() <= gap.numel()) {
      add(sum, train);
    } else {
      add(sum, gap);
      sum.add_(sums[fold]).neg_().add_(all);
    }
  }
}

/// Adds a'b over some rows to `sum`, block by block: through `product`, of the type of `a`, where that is defined.
void add_products(const at::Tensor& a, const at::Tensor& b, const at::Tensor& rows, at::Tensor product,
                  at::Tensor sum) {
  for (int64_t first = 0; first < rows.numel(); first += rows_at_once) {
    const at::Tensor block = rows.narrow(0, first, std::min(rows_at_once, rows.numel() - first));
    const at::Tensor left = take_rows(a, block).t();
    const at::Tensor right = take_rows(b, block);
    if (product.defined()) {
      at::mm_out(product, left, right);
      sum.add_(product);
    } else {
      at::addmm_out(sum, sum, left, right);
    }
  }
}

at::TensorOptions float64_like(const at::Tensor& x) { return x.options().dtype(at::kDouble); }

/// (p, q): a'b over some rows, in float64 where rows are many.
at::Tensor products_of(const at::Tensor& a, const at::Tensor& b, const at::Tensor& rows) {
  const bool few = a.size(0) <= few_rows;
  at::Tensor sum = at::zeros({a.size(1), b.size(1)}, few ? a.options() : float64_like(a));
  const at::Tensor product = few ? at::Tensor() : at::empty_like(sum, a.options());
  add_products(a, b, rows, product, sum);
  return sum;
}

template <class Real>
void add_moments(const at::Tensor& x, const at::Tensor& rows, const double* roots, double* sums, double* squares) {
  const Real* values = x.const_data_ptr<Real>();
  const auto* row = rows.const_data_ptr<int64_t>();
  const int64_t columns = x.size(1);
  for (int64_t i = 0; i < rows.numel(); ++i) {
    const Real* from = values + row[i] * x.stride(0);
    if (i + 1 < rows.numel()) {  // of a tile, rows lie so far apart that nothing else fetches them
      const Real* next = values + row[i + 1] * x.stride(0);
      for (int64_t column = 0; column < columns; column += 64 / static_cast<int64_t>(sizeof(Real))) {
        __builtin_prefetch(next + column);
      }
    }
    const double root = roots == nullptr ? 1 : roots[row[i]];
    for (int64_t column = 0; column < columns; ++column) {
      const auto value = static_cast<double>(from[column]);
      sums[column] += value * root;
      squares[column] += value * value;
    }
  }
}

/// Sums, times `roots` where defined, and sums of squares, (columns,) float64 each, of some rows of x: read once, in
/// float64 throughout.
std::pair<at::Tensor, at::Tensor> moments(const at::Tensor& x, const at::Tensor& rows, const at::Tensor& roots = {}) {
  at::Tensor sums = at::zeros({x.size(1)}, float64_like(x));
  at::Tensor squares = at::zeros_like(sums);
  if (x.is_cpu() && has_values(x) && x.stride(1) == 1) {
    const double* root = roots.defined() ? roots.const_data_ptr<double>() : nullptr;
    if (x.scalar_type() == at::kFloat) {
      add_moments<float>(x, rows, root, sums.mutable_data_ptr<double>(), squares.mutable_data_ptr<double>());
    } else {
      add_moments<double>(x, rows, root, sums.mutable_data_ptr<double>(), squares.mutable_data_ptr<double>());
    }
    return {sums, squares};
  }
  for (int64_t first = 0; first < rows.numel(); first += rows_at_once) {
    const at::Tensor block = rows.narrow(0, first, std::min(rows_at_once, rows.numel() - first));
    const at::Tensor values = take_rows(x, block).to(at::kDouble);
    sums.add_(at::sum(roots.defined() ? values * take_rows(roots, block).unsqueeze(1) : values, at::IntArrayRef{0}));
    squares.add_(at::sum(values.square(), at::IntArrayRef{0}));
  }
  return {sums, squares};
}

}  // namespace

bool has_values(const at::Tensor& x) { return !x.is_meta() && !x.unsafeGetTensorImpl()->is_python_dispatch(); }

at::ScalarType working_type(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
    case at::kHalf:
    case at::kBFloat16:
    case at::kChar:
    case at::kByte:
    case at::kShort:
    case at::kUInt16:
      return at::kFloat;
    default:
      return at::kDouble;
  }
}

void check_matrix(const at::Tensor& x, std::string_view name, std::string_view where) {
  require(x.dim() == 2, where, name, " must have two dimensions, rows first; got shape ", x.sizes());
  require(x.size(0) > 0 && x.size(1) > 0, where, name, " must have a row and a column; got shape ", x.sizes());
  require(at::isFloatingType(x.scalar_type()) || at::isIntegralType(x.scalar_type(), /*includeBool=*/true), where, name,
          " must hold real numbers; got ", x.scalar_type());
}

void require_finite(const at::Tensor& x, std::string_view name, std::string_view where) {
  // NaN and Inf survive a sum, so one pass at the speed of memory clears nearly all input; a sum that overflows by
  // itself is cleared by the search.
  if (!has_values(x) || std::isfinite(at::sum(x).item<double>())) {
    return;
  }
  constexpr int64_t values_at_once = int64_t{1} << 24;
  const int64_t step = std::max<int64_t>(1, values_at_once / std::max<int64_t>(1, x.size(1)));
  for (int64_t first = 0; first < x.size(0); first += step) {
    const at::Tensor part = x.narrow(0, first, std::min(step, x.size(0) - first));
    const at::Tensor bad = at::nonzero(at::isfinite(part).logical_not());
    if (bad.size(0) > 0) {
      const auto row = bad[0][0].item<int64_t>();
      const auto column = bad[0][1].item<int64_t>();
      require(false, where, name, " must be finite, without NaN or infinity; got ", part[row][column].item<double>(),
              " at row ", first + row, ", column ", column);
    }
  }
}

CenteredRows centered_rows(const at::Tensor& x, bool ones, bool zero) {
  const int64_t columns = x.size(1);
  CenteredRows rows;
  // Of the first rows only: near enough to the middle of the data for the digits to be kept, and read once.
  at::Tensor offset =
      zero ? at::zeros({columns}, x.options())
           : at::mean(x.narrow(0, 0, std::min(x.size(0), rows_at_once)), at::IntArrayRef{0}, false, at::kDouble)
                 .to(x.scalar_type());
  rows.values = at::empty({x.size(0), columns + (ones ? 1 : 0)}, x.options());
  at::Tensor centered = rows.values.narrow(1, 0, columns);
  at::sub_out(centered, x, offset);
  if (ones) {
    rows.values.narrow(1, columns, 1).fill_(1);
  }
  rows.offset = offset.to(at::kDouble);
  return rows;
}

CenteredRows nearly_centered_rows(const at::Tensor& x, bool zero) {
  if (!zero && has_values(x)) {
    const int64_t rows = std::min(x.size(0), rows_at_once);
    const auto [sums, squares] = moments(x, at::arange(rows, at::kLong));
    zero = at::all(2 * sums.square() <= squares * rows).item<bool>();
  }
  return zero ? CenteredRows{x, at::zeros({x.size(1)}, float64_like(x))}
              : centered_rows(x, /*ones=*/false, /*zero=*/false);
}

at::Tensor fold_products(const at::Tensor& a, const at::Tensor& b, const Folds& folds) {
  const bool few = folds.rows <= few_rows;
  at::Tensor sums = at::zeros({count_slots(folds), a.size(1), b.size(1)}, few ? a.options() : float64_like(a));
  const at::Tensor product = few ? at::Tensor() : at::empty({a.size(1), b.size(1)}, a.options());
  each_fold(folds, sums,
            [&](const at::Tensor& sum, const at::Tensor& rows) { add_products(a, b, rows, product, sum); });
  return sums;
}

at::Tensor all_products(const at::Tensor& a, const at::Tensor& b) {
  return products_of(a, b, at::arange(a.size(0), at::kLong)).to(a.scalar_type());
}

at::Tensor training_products(const at::Tensor& a, const at::Tensor& b, const Folds& folds, int64_t fold,
                             const at::Tensor& all) {
  const at::Tensor train = training_rows(folds, fold);
  if (2 * train.numel() <= folds.rows) {
    return products_of(a, b, train).to(a.scalar_type());
  }
  const at::Tensor& held_out = folds.held_out[static_cast<std::size_t>(fold)];
  const at::Tensor others = products_of(a, b, gap_rows(folds, fold)) + products_of(a, b, held_out);
  return (all - others).to(a.scalar_type());
}

at::Tensor fold_gram(const at::Tensor& a, const Folds& folds) {
  at::Tensor sums = at::zeros({count_slots(folds), a.size(1), a.size(1)}, float64_like(a));
  const bool on_cpu = a.is_cpu() && has_values(a);
  const int64_t block_rows = on_cpu ? gathered_rows : rows_at_once;
  each_fold(folds, sums, [&](const at::Tensor& sum, const at::Tensor& rows) {
    for (int64_t first = 0; first < rows.numel(); first += block_rows) {
      const at::Tensor block = take_rows(a, rows.narrow(0, first, std::min(block_rows, rows.numel() - first)));
      if (on_cpu) {
        add_packed_gram(block, sum);
      } else {
        add_lower_gram(block.to(at::kDouble), sum);
      }
    }
  });
  if (!on_cpu) {
    mirror(sums);
  }
  return sums;
}

at::Tensor fold_grams(const at::Tensor& a, const Folds& folds) {
  const int64_t columns = a.size(2);
  at::Tensor sums = at::zeros({count_slots(folds), a.size(1), columns, columns}, a.options());
  each_fold(folds, sums, [&](at::Tensor sum, const at::Tensor& rows) {
    const at::Tensor block = take_rows(a, rows);
    at::bmm_out(sum, block.permute({1, 2, 0}), block.transpose(0, 1));
  });
  return sums;
}

Moments fold_moments(const at::Tensor& b, const Folds& folds, const at::Tensor& roots) {
  const at::Tensor both = at::zeros({count_slots(folds), 2, b.size(1)}, float64_like(b));
  each_fold(folds, both, [&](const at::Tensor& sum, const at::Tensor& rows) {
    const auto [sums, squares] = moments(b, rows, roots);
    sum[0].copy_(sums);
    sum[1].copy_(squares);
  });
  return {both.select(1, 0), both.select(1, 1)};
}

}  // namespace brain2music::ridge
