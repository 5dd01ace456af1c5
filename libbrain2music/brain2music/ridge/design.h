#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "brain2music/ridge/folds.h"
#include "brain2music/ridge/packed_product.h"
#include "brain2music/ridge/rows.h"

/// One X and what is asked of it.
namespace brain2music::ridge {

/// A matrix in float64 as well, and packed, made when first asked for, from whichever thread.
class TypedRows {
 public:
  explicit TypedRows(at::Tensor rows);
  at::Tensor in(at::ScalarType type) const;

  /// Transposed, in float32 on a CPU.
  const PackedLeft& packed() const;

 private:
  at::Tensor rows_;
  mutable std::mutex mutex_;
  mutable at::Tensor wide_;
  mutable std::optional<PackedLeft> packed_;
};

/// Rows of [X, 1] about provisional means, times the roots of their weights; X as it was given; folds; penalties.
/// Where only sums over rows are known, there are no rows.
struct Design {
  std::shared_ptr<const TypedRows> rows;  // (n, p + 1), or null
  at::Tensor x;                           // (n, p) as given
  at::Tensor offset;                      // (p,) float64: provisional means
  at::Tensor roots;                       // (n,) float64: roots of the rows' weights; undefined where all weigh 1
  at::Tensor scales;                      // (p,) float64: what columns are multiplied by; undefined: nothing
  Folds folds;
  std::vector<double> weights;  // of the rows of each slot (see training_rows.h), summed
  std::vector<double> alphas;
  int64_t features = 0;
  int64_t targets = 0;
  at::ScalarType type = at::kDouble;
  at::Device device = at::kCPU;
  bool intercept = true;
  bool single = false;            // may be worked on in float32 where conditioning allows
  bool streamed = false;          // targets and results lie elsewhere than X
  std::function<void()> between;  // called between long steps, also from several threads; stops all by throwing
  bool tiled = false;             // coefficients are asked for tile by tile: what the tiles share is kept

  int64_t fold_count() const { return folds.size(); }
  const at::Tensor& held_out(int64_t fold) const { return folds.held_out[static_cast<std::size_t>(fold)]; }
  double held_weight(int64_t fold) const { return weights[static_cast<std::size_t>(fold)]; }
  double all_weight() const { return weights[folds.held_out.size()]; }

  /// Adds up the weights of the rows that `slot` trains on.
  double train_weight(int64_t slot) const;

  /// Whether products with held-out rows cost less than with their Gram matrix, or with half of it.
  bool by_rows(int64_t fold, bool half = false) const {
    return rows && held_out(fold).numel() * (half ? 2 : 1) < features;
  }

  /// (held-out rows, p) float64: the very rows that products with targets are taken of, about the mean `mean` + offset,
  /// weighted, times the scales.
  at::Tensor held_rows(int64_t fold, const at::Tensor& mean) const;

  /// (p, ...) times the scales.
  at::Tensor scaled(const at::Tensor& of_columns) const;
};

/// Makes X ready: checked already, moved to the device, centred, weighted.
Design make_design(const at::Tensor& x, const Folds& folds, const at::Tensor& roots, bool intercept,
                   at::ScalarType type, const at::Device& device);

/// Sum of the weights of the rows of each slot.
std::vector<double> fold_weights(const Folds& folds, const at::Tensor& roots);

/// (n,) float64 on the device: roots of `weights` (n,). Throws, signed `where`, unless these are finite, not negative,
/// and positive for `least` rows or more inside and outside of every fold.
at::Tensor checked_roots(const at::Tensor& weights, const Folds& folds, int64_t least, const at::Device& device,
                         std::string_view where);

/// Rows of positive weight that a fold needs inside and outside.
constexpr int64_t rows_of_a_fold = 2;

}  // namespace brain2music::ridge
