#pragma once

#include <ATen/core/Tensor.h>

#include "brain2music/export.h"
#include "brain2music/ridge/folds.h"
#include "brain2music/ridge/options.h"

namespace brain2music::ridge {

/// What was fitted with a penalty for each band of features; `coef` belong to X as it was given.
struct BandedFit : RidgeFit {
  at::Tensor best_draw;  ///< (t,) int64: the row of `gammas` that is each target's
};

/// Ridge regression with bands of features that are penalised unequally (banded or group ridge; Nunez-Elizalde et al.
/// 2019, Dupre la Tour et al. 2022): columns of band b are multiplied by sqrt(gamma_b). All given draws of gamma are
/// tried with all penalties; each target takes the pair with the best cross-validated score.
///
/// @param x       (n, p) real numbers.
/// @param bands   (p,) int64 on the CPU: band of each column, 0 <= band < number of bands.
/// @param gammas  (draws, number of bands) float64 on the CPU, not negative, a positive one in each draw.
/// @param y       (n, t) likewise, on the same device as X.
/// @param folds   rows held out in each fold.
/// @param options as for ridge_cv, always with a penalty per target, without held-out predictions. The default grid is
///                relative to the mean eigenvalue of X'X divided by the number of bands; `cv_path` is of the best draw.
/// @return the fit; edges of the grid are counted for the best draw.
/// @throws std::invalid_argument as ridge_cv does.
B2M_API BandedFit banded_ridge_cv(const at::Tensor& x, const at::Tensor& bands, const at::Tensor& gammas,
                                  const at::Tensor& y, const Folds& folds, const RidgeOptions& options = {});

}  // namespace brain2music::ridge
