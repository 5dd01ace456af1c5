#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "brain2music/export.h"

namespace brain2music::encoding {

/// The outcome of a permutation test, voxel by voxel.
struct PermutationTest {
  at::Tensor score;     ///< (v,) float64: Pearson's r over all rows; NaN where a column does not vary or holds NaN
  at::Tensor p;         ///< (v,) float64: P of a score as good or better, one-sided; NaN where the score is
  at::Tensor p_max;     ///< (v,) float64: P that any voxel scores so well (the max-statistic: errors of the family)
  at::Tensor at_least;  ///< (v,) int64: permutations that scored as well or better
  at::Tensor largest;   ///< (permutations,) float64: the largest score of any voxel
  at::Tensor in_tail;   ///< (v,) bool: whether p comes from the tail of the voxel's own law, not from counts
};

/// Options of permutation_test.
struct PermutationTestOptions {
  bool all_orders = false;  ///< the permutations are all orders that there are: P is a share, not an estimate
  bool tail = true;         ///< below `fewest`, P comes from the tail of the voxel's own law
  int64_t fewest = 10;      ///< permutations that must score as well for P to be counted
  int64_t tile = 4096;      ///< voxels held at once
  /// Called after each tile; what it throws stops the test.
  std::function<void(int64_t done, int64_t voxels)> on_progress;
};

/// Tests the correlation of predicted and observed responses against orders of the clips. Rows of a clip stay together,
/// so that windows that overlap, and noise that is alike from scan to scan, are as they are under the null.
///
/// P is (count + 1) / (permutations + 1) (Phipson and Smyth, 2010). Where fewer than `fewest` permutations score as
/// well as the clips' own order, P is the upper tail of the law of all orders, by a saddlepoint.
///
/// @param predicted    (n, r, v) float32 or float64 on CPU or CUDA: n clips of r windows.
/// @param observed     of the shape and type of `predicted`, on its device.
/// @param permutations (permutations, n) int64 on that device: orders of the clips.
/// @param options      counts, tail, memory.
/// @return scores and P on the device of `predicted`.
/// @throws std::invalid_argument on other shapes and types, and on fewer than two rows.
B2M_API PermutationTest permutation_test(const at::Tensor& predicted, const at::Tensor& observed,
                                         const at::Tensor& permutations, const PermutationTestOptions& options = {});

/// Tests the predictions of a linear model, which are made a tile at a time.
///
/// @param features     (n, r, p): what was heard.
/// @param coef         (p, v): weights; an intercept changes no correlation.
/// @param observed     (n, r, v).
/// @param permutations (permutations, n) int64.
/// @param options      as above.
/// @return as above.
/// @throws std::invalid_argument as above.
B2M_API PermutationTest permutation_test(const at::Tensor& features, const at::Tensor& coef, const at::Tensor& observed,
                                         const at::Tensor& permutations, const PermutationTestOptions& options = {});

}  // namespace brain2music::encoding
