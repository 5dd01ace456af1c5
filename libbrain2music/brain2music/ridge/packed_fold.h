#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "brain2music/ridge/eigen_fold.h"
#include "brain2music/ridge/packed_product.h"
#include "brain2music/ridge/problem.h"
#include "brain2music/ridge/targets.h"

namespace brain2music::ridge {

/// An EigenFold on a CPU, by register tiles alone: panels of targets stay packed from products to
/// scores, and scores for all penalties are products, too. Each panel is worked on by itself, so that nothing depends
/// on threads or on how many targets there are.
class PackedFold {
 public:
  /// @param fold     what it reads; all of it is copied.
  /// @param held_out of all folds, as Tile::packed_fold_products() takes them; null where the fold has held_rows.
  PackedFold(const EigenFold& fold, std::shared_ptr<const std::vector<PackedLeft>> held_out);

  /// @param tile     targets.
  /// @param number   of the fold.
  /// @param held_out numbers of the rows that are held out.
  /// @param mean     (t,) float32: what these are less; undefined: 0.
  /// @param training (p + 1, t) float32: products over the rows trained on; undefined: over all that are not held out.
  HeldOutSums sums(const Tile& tile, int64_t number, const at::Tensor& held_out, const at::Tensor& mean,
                   const at::Tensor& training) const;

 private:
  /// Products of a panel.
  struct Products {
    const float* c;
    const float* held;
    const float* far;
    const float* mean;
  };

  /// What weights of kernels::fold_scores are multiplied by, but for c: some features of a panel.
  struct Terms;

  /// Rows of a register tile from the Gram matrix where eigenvalues are near, and columns that are not all zero.
  struct NearStrip {
    int64_t first_column;
    int64_t columns;
    std::ptrdiff_t place;  // in near_ and gap_
  };

  void pack_near(const Band& band);
  void pack_weights(const at::Tensor& weights);
  void make_terms(const Products& products, int64_t first, int64_t count, Terms& terms) const;
  std::vector<float> panel_sums(const Products& products) const;
  void put(const std::vector<float>& sums, int64_t target, const at::Tensor& result) const;

  int64_t features_;
  int64_t penalties_;
  double scale_;
  std::shared_ptr<const std::vector<PackedLeft>> held_out_;
  PackedLeft held_rows_;  // (p, held-out rows), or nothing
  PackedLeft to_basis_;
  PackedLeft divided_;
  std::vector<NearStrip> strips_;
  std::vector<float> near_;
  std::vector<float> gap_;
  std::vector<float> weights_;  // strips of penalties; of each five times (features, rows of a strip)
  std::vector<float> held_sum_;
};

}  // namespace brain2music::ridge
