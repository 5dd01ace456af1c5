#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

#include "brain2music/ridge/folds.h"

/// The one pass over the rows of X and Y: checks, provisional means, and products added up fold by fold.
namespace brain2music::ridge {

/// Rows about provisional means that their type can hold: `values + offset` are the rows.
struct CenteredRows {
  at::Tensor values;  // (n, columns), with a last column of ones where asked for
  at::Tensor offset;  // (columns,) float64, without the ones
};

/// @param x    (n, columns) float32 or float64.
/// @param ones appends a column of ones.
/// @param zero takes 0 for means: regression without intercept.
CenteredRows centered_rows(const at::Tensor& x, bool ones, bool zero);

/// The same without ones; where means are small beside the spread, they are taken for 0, and x is not copied.
CenteredRows nearly_centered_rows(const at::Tensor& x, bool zero);

/// Up to so many rows in all, products of blocks of them may be added up in the type of the product: that adds less
/// than the product's own rounding.
constexpr int64_t few_rows = 4096;

/// (slots, p, q): a'b over the rows of each slot (see training_rows.h). In blocks of at most 256 rows of the type of
/// `a` and `b`, added up in float64; in that type itself where a few blocks are all.
at::Tensor fold_products(const at::Tensor& a, const at::Tensor& b, const Folds& folds);

/// (p, q): a'b over all rows, in the same way.
at::Tensor all_products(const at::Tensor& a, const at::Tensor& b);

/// (p, q): a'b over the rows that a fold with a gap trains on. Multiplies these rows, or all others, whichever are
/// fewer; `all` (p, q) is a'b over all rows.
at::Tensor training_products(const at::Tensor& a, const at::Tensor& b, const Folds& folds, int64_t fold,
                             const at::Tensor& all);

/// (slots, p, p) float64: a'a, in float64 throughout; each product is taken once though it stands there twice.
at::Tensor fold_gram(const at::Tensor& a, const Folds& folds);

/// (slots, b, p, p): the same of each of several matrices side by side, `a` (n, b, p) float64.
at::Tensor fold_grams(const at::Tensor& a, const Folds& folds);

/// Sums over the rows of each slot. Of rows times the roots of weights, weighted sums of the rows themselves.
struct Moments {
  at::Tensor sums;     // (slots, q) float64
  at::Tensor squares;  // (slots, q) float64
};

/// `roots` (n,) float64 of the weights; undefined where `b` is not weighted.
Moments fold_moments(const at::Tensor& b, const Folds& folds, const at::Tensor& roots = {});

/// Float32 or float64: what a number of that type is worked on in.
at::ScalarType working_type(at::ScalarType type);

/// Throws, signed `where`, unless `x` is a matrix of real numbers with a row and a column.
void check_matrix(const at::Tensor& x, std::string_view name, std::string_view where);

/// Throws, signed `where`, naming row and column, unless all of `x` is finite.
void require_finite(const at::Tensor& x, std::string_view name, std::string_view where);

/// Meta and fake tensors have a shape and a device, but no values to look at.
bool has_values(const at::Tensor& x);

}  // namespace brain2music::ridge
