#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "brain2music/export.h"

namespace brain2music::ridge {

/// What the best penalty is best at, on held-out rows, averaged over folds.
enum class Scoring : std::uint8_t {
  r2,           ///< 1 - (squared error) / (squared distance from the held-out mean)
  correlation,  ///< Pearson's r
};

/// How the fits of all folds and penalties are computed; all give the same result up to rounding.
enum class Solver : std::uint8_t {
  automatic,   ///< the one with the fewest operations that the conditioning of X allows
  eigenbasis,  ///< one eigendecomposition a fold: many targets
  cholesky,    ///< factors for each fold and some penalties: few targets, or columns of very unequal scale
  kernel,      ///< one factor of X X' for each fold and penalty: more features than rows
};

/// Options of ridge regression with cross-validation.
struct RidgeOptions {
  std::vector<double> alphas;         ///< penalties, absolute; empty: default_alphas() times the mean eigenvalue of X'X
  bool fit_intercept = true;          ///< an unpenalised constant, exact in each training fold
  Scoring scoring = Scoring::r2;      ///< what the best penalty is best at
  Solver solver = Solver::automatic;  ///< how it is computed
  bool alpha_per_target = true;       ///< a penalty for each target; else one, best on average over targets
  bool keep_path = false;             ///< also the scores of all penalties
  bool keep_predictions = false;      ///< also the held-out predictions with the chosen penalties
  bool refit = true;                  ///< coefficients of a fit to all rows
  at::Tensor sample_weight;           ///< (n,) weights of the rows, in fits and scores; undefined: all 1
  std::optional<at::Device> device;  ///< where to compute; by default where X lies. Targets are brought there in blocks
  int64_t memory_limit = 0;          ///< bytes that may be held at once beside X and Y, results included; 0: no limit
  /// Called from several threads, also with (0, 0) between long steps; stops all by throwing.
  std::function<void(int64_t done, int64_t of)> on_progress;
};

/// What was fitted: coefficients minimise ||Y - X coef - intercept||^2 + alpha ||coef||^2, target by target.
struct RidgeFit {
  at::Tensor alphas;        ///< (penalties,) float64, increasing as given: the grid
  at::Tensor best;          ///< (t,) int64: which of them is each target's
  at::Tensor best_alphas;   ///< (t,)
  at::Tensor cv_scores;     ///< (t,): its score
  at::Tensor correlations;  ///< (t,): Pearson's r on held-out rows with it, averaged over folds
  at::Tensor cv_path;       ///< (penalties, t) with keep_path: scores of all penalties
  at::Tensor predictions;   ///< (n, t) with keep_predictions: of each row by the fold that held it out; NaN if none did
  at::Tensor coef;          ///< (p, t) with refit
  at::Tensor intercept;     ///< (t,) with refit; 0 without fit_intercept
  int64_t at_lower_edge = 0;  ///< targets with a positive score, best at the smallest penalty by more than 0.001
  int64_t at_upper_edge = 0;  ///< the same at the largest
  Solver solver = Solver::automatic;  ///< the one that computed it
};

/// The default grid, relative to the mean eigenvalue of the Gram matrix, trace(X'X) / p: 0.001 to 1,000,000, tenfold.
/// @return ten numbers, increasing.
B2M_API std::vector<double> default_alphas();

/// @param solver any.
/// @return its name in Python.
B2M_API std::string solver_name(Solver solver);

}  // namespace brain2music::ridge
