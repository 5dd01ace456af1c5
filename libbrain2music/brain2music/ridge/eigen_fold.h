#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace brain2music::ridge {

struct Band {
  int64_t first_row;
  int64_t first_column;
  at::Tensor values;       // (rows, columns): Gram matrix of held-out rows where eigenvalues are near
  at::Tensor squared_gap;  // the same times the squared distance of eigenvalues
};

/// One fold in the eigenbasis Q of its training Gram matrix, with eigenvalues L, c = Q'X'y and M the held-out Gram
/// matrix in that basis. For a penalty a, with D = 1 / (L + a), the squared predictions are
///     sum_ij D_i D_j M_ij c_i c_j .
/// Since D_i D_j = (D_i - D_j) / (L_j - L_i), this is sum_i D_i 2 c_i (N c)_i with N_ij = M_ij / (L_j - L_i): one
/// product with N does for all penalties. Where L_i and L_j are near, that would cancel, but there
///     D_i D_j = (D_i^2 + D_j^2) / 2 - (L_j - L_i)^2 (D_i^4 + D_j^4) / 4
/// up to the fourth power of (L_j - L_i) / (L + a), which is a sum of terms in i and in j as well.
/// Everything is scaled by the largest eigenvalue, so that no power of D leaves the range of float32.
struct EigenFold {
  at::Tensor to_basis;   // (p, p + 1): Q'[I, -mean] / scale, of scaled columns
  at::Tensor held_rows;  // (held-out rows, p): these rows, centred, times Q / scale; undefined where p is smaller
  at::Tensor divided;    // (p, p): N
  std::vector<Band> near;
  at::Tensor weights;   // (5, penalties, p) of kernels::fold_scores: D times held_sum, D, 2 D less that of the largest
                        // eigenvalue (else the terms in N cancel where the penalty is far above all), D^2, -D^4 / 2
  at::Tensor held_sum;  // (p,): Q' sum of centred held-out rows / scale
  double scale = 1;
};

}  // namespace brain2music::ridge
