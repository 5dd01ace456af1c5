#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/FunctionRef.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "brain2music/ridge/design.h"
#include "brain2music/ridge/fold_statistics.h"
#include "brain2music/ridge/packed_matrix.h"
#include "brain2music/ridge/rows.h"

namespace brain2music::ridge {

/// Some neighbouring targets: their rows, or products with them; each product is made when first asked for, by the one
/// thread that works on the tile.
class Tile {
 public:
  /// `rows` (n, t) about their offset, times the roots of the weights.
  Tile(const Design& design, int64_t first, CenteredRows rows, Moments moments);

  /// Where only sums are known: `products` (slots, p + 1, t) float64.
  Tile(const Design& design, int64_t first, at::Tensor products, at::Tensor offset, Moments moments);

  int64_t first() const { return first_; }
  int64_t targets() const { return offset_.numel(); }
  const at::Tensor& rows() const { return rows_; }      // (n, t)
  const at::Tensor& offset() const { return offset_; }  // (t,) float64
  const Moments& moments() const { return moments_; }

  /// (t,) float64: mean about the offset, of the rows that fold `slot` trains on; of all rows for the number of folds.
  at::Tensor training_mean(int64_t slot) const;

  /// (slots, p + 1, t): of [X, 1] and targets over the rows of each slot (see training_rows.h).
  const at::Tensor& fold_products(at::ScalarType type) const;

  /// (p + 1, t): over all rows.
  at::Tensor products(at::ScalarType type) const;

  /// (p + 1, t): over the rows that a fold with a gap trains on.
  at::Tensor training_products(int64_t fold, at::ScalarType type) const;

  /// The same in float32 on a CPU, packed.
  const Panels<float>& packed_products() const;

  /// (p + 1, t): over the rows that a fold holds out, packed, where rows are float32 on a CPU. Those of all folds are
  /// made at once, from `held_out`: the rows (p + 1, rows) of [X, 1] that each fold holds out, the same in every call.
  const Panels<float>& packed_fold_products(int64_t fold, const std::vector<PackedLeft>& held_out) const;

  /// (n, t), where rows are float32 on a CPU: packed.
  const Panels<float>& packed_rows() const;

  /// Memory of that shape that is handed out again by the next call: fresh pages cost more than what is done on them.
  at::Tensor scratch(at::IntArrayRef shape, const at::TensorOptions& options) const;

 private:
  bool packs() const;
  at::Tensor unpacked_products(at::ScalarType type) const;

  const Design& design_;
  int64_t first_;
  at::Tensor rows_;
  at::Tensor offset_;
  Moments moments_;
  mutable std::array<at::Tensor, 2> fold_products_;  // in float32, in float64
  mutable std::array<at::Tensor, 2> products_;
  mutable std::array<std::vector<at::Tensor>, 2> training_products_;  // of each fold
  mutable std::optional<Panels<float>> packed_products_;
  mutable std::vector<Panels<float>> packed_fold_products_;
  mutable std::optional<Panels<float>> packed_rows_;
  mutable at::Tensor scratch_;
};

/// All targets of a problem, tile by tile; tiles do not depend on the number of threads.
class Targets {
 public:
  /// `y` (n, t) as given, on whatever device.
  Targets(const Design& design, at::Tensor y);
  Targets(const Design& design, const FoldStatistics& statistics);

  int64_t count() const;

  /// A tile of targets from anywhere, by int64 indices that lie where Y does; its `first` means nothing.
  Tile some(const at::Tensor& indices) const;

  /// Calls use(tile) for tiles of `width` targets, several at a time on a CPU; one after the other on a GPU, smaller
  /// ones where its memory does not suffice, the next one on its way there meanwhile.
  void each(int64_t width, c10::function_ref<void(const Tile&)> use) const;

 private:
  Tile tile(int64_t first, const at::Tensor& y) const;

  const Design& design_;
  at::Tensor y_;
  const FoldStatistics* statistics_ = nullptr;
};

}  // namespace brain2music::ridge
