#include "brain2music/ridge/packed_matrix.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <array>

namespace brain2music::ridge {
namespace {

template <class Real>
constexpr at::ScalarType type_of = c10::CppTypeToScalarType<Real>::value;

/// Copies rows of `matrix` into pieces of `width` columns, `piece(number)` being where a piece begins.
template <class From, class Real, class Piece>
void copy_pieces(const at::Tensor& matrix, int64_t width, const Piece& piece) {
  const From* values = matrix.const_data_ptr<From>();
  const int64_t stride = matrix.stride(0);
  for (int64_t first = 0; first < matrix.size(1); first += width) {
    const int64_t count = std::min(width, matrix.size(1) - first);
    Real* to = piece(first / width);
    for (int64_t row = 0; row < matrix.size(0); ++row, to += width) {
      const From* from = values + row * stride + first;
      for (int64_t column = 0; column < count; ++column) {
        to[column] = static_cast<Real>(from[column]);
      }
    }
  }
}

template <class Real, class Piece>
void copy_pieces(const at::Tensor& matrix, int64_t width, const Piece& piece) {
  const at::Tensor rows = matrix.stride(1) == 1 ? matrix : matrix.contiguous();
  if (rows.scalar_type() == at::kFloat) {
    copy_pieces<float, Real>(rows, width, piece);
  } else {
    copy_pieces<double, Real>(rows, width, piece);
  }
}

}  // namespace

template <class Real>
PackedMatrix<Real>::PackedMatrix(int64_t rows, int64_t columns)
    : rows_(rows),
      columns_(columns),
      stored_rows_(registers::blocks_of(rows) * registers::block),
      values_(at::empty({registers::blocks_of(columns), stored_rows_, registers::block}, type_of<Real>)),
      first_(values_.mutable_data_ptr<Real>()) {
  for (int64_t column = 0; column < block_columns(); ++column) {
    const int64_t from = columns_of(column) < registers::block ? 0 : rows_;
    std::fill_n(at(column, from), (stored_rows_ - from) * registers::block, Real{0});
  }
}

template <class Real>
PackedMatrix<Real>::PackedMatrix(const at::Tensor& matrix) : PackedMatrix(matrix.size(0), matrix.size(1)) {
  copy_pieces<Real>(matrix, registers::block, [&](int64_t block_column) { return at(block_column, 0); });
}

template <class Real>
Panels<Real>::Panels(int64_t rows, int64_t columns)
    : stored_rows_(registers::blocks_of(rows) * registers::block),
      values_(at::empty({(columns + width - 1) / width, stored_rows_, width}, type_of<Real>)),
      first_(values_.mutable_data_ptr<Real>()) {
  for (int64_t panel = 0; panel < count(); ++panel) {
    const int64_t from = (panel + 1) * width > columns ? 0 : rows;
    std::fill_n(at(panel) + from * width, (stored_rows_ - from) * width, Real{0});
  }
}

template <class Real>
Panels<Real>::Panels(const at::Tensor& matrix) : Panels(matrix.size(0), matrix.size(1)) {
  copy_pieces<Real>(matrix, width, [&](int64_t panel) { return at(panel); });
}

template <class Real>
Panels<Real>::Panels(const Panels& all, int64_t rows, const at::Tensor& columns) : Panels(rows, columns.numel()) {
  const auto* number = columns.const_data_ptr<int64_t>();
  for (int64_t first = 0; first < columns.numel(); first += width, number += width) {
    const int64_t columns_here = std::min(width, columns.numel() - first);
    std::array<const Real*, width> from{};
    for (int64_t i = 0; i < columns_here; ++i) {
      from[i] = all.at(number[i] / width) + number[i] % width;
    }
    Real* to = at(first / width);
    for (int64_t row = 0; row < rows; ++row, to += width) {
      for (int64_t i = 0; i < columns_here; ++i) {
        to[i] = from[i][row * width];
      }
    }
  }
}

template <class Real>
void Panels<Real>::put(const at::Tensor& columns, const at::Tensor& matrix) const {
  const auto* number = columns.const_data_ptr<int64_t>();
  Real* values = matrix.mutable_data_ptr<Real>();
  const int64_t stride = matrix.stride(0);
  for (int64_t first = 0; first < columns.numel(); first += width, number += width) {
    const int64_t columns_here = std::min(width, columns.numel() - first);
    const Real* from = at(first / width);
    Real* to = values;
    for (int64_t row = 0; row < matrix.size(0); ++row, from += width, to += stride) {
      for (int64_t i = 0; i < columns_here; ++i) {
        to[number[i]] = from[i];
      }
    }
  }
}

template <class Real>
at::Tensor Panels<Real>::unpacked(int64_t rows, int64_t columns) const {
  return values_.narrow(1, 0, rows).transpose(0, 1).reshape({rows, count() * width}).narrow(1, 0, columns);
}

template class PackedMatrix<float>;
template class PackedMatrix<double>;
template class Panels<float>;
template class Panels<double>;

}  // namespace brain2music::ridge
