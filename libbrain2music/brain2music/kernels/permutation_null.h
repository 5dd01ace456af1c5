#pragma once

#include <ATen/core/Tensor.h>

#include "brain2music/export.h"

namespace brain2music::kernels {

/// The scores of blocks in many orders, reduced.
struct PermutationNull {
  at::Tensor at_least;  ///< (v,) int64: permutations that score at least as well as the blocks in their own order
  at::Tensor largest;   ///< (permutations,): the largest score of any voxel; -Inf where no voxel has one
  at::Tensor own;       ///< (v,): the score of the blocks in their own order
};

/// Scores of predictions whose blocks of rows stand in another order, for many orders. The score of order `o` at a
/// voxel is the sum over blocks c and rows w of predicted[o[c], w] * observed[c, w]: Pearson's r if the columns of both
/// have mean 0 and length 1. Nothing of the size (permutations, v) is made.
///
/// @param predicted    (n, r, v) float32 or float64 on CPU or CUDA: n blocks (clips) of r rows (windows).
/// @param observed     of the shape, type and device of `predicted`.
/// @param permutations (permutations, n) int64 on that device: which block of `predicted` stands in each place. Rows
/// may
///                     repeat a block; a value outside 0 ... n - 1 is refused on the CPU, and on CUDA makes the score
///                     NaN.
/// @param slack        how far below the score of the blocks' own order a score still counts as equal to it: sums of
///                     equal numbers in another order differ by rounding.
/// @return counts and largest scores on the device of `predicted`. A voxel with NaN counts 0 and is never the largest.
///         Sums run over rows, then over blocks, in the type of `predicted`: they do not depend on threads.
/// @throws std::invalid_argument on other shapes and types, and on tensors of several devices.
B2M_API PermutationNull permutation_null(const at::Tensor& predicted, const at::Tensor& observed,
                                         const at::Tensor& permutations, double slack = 0);

}  // namespace brain2music::kernels
