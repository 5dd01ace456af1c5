#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/FunctionRef.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "brain2music/ridge/packed_matrix.h"

/// Solving with gram + alpha I for many alphas, in float32 where that does.
namespace brain2music::ridge {

/// Which penalties let float32 do, by the extreme eigenvalues of a Gram matrix: estimates from a few power iterations,
/// with room for where they have not converged.
class SinglePrecision {
 public:
  /// Of `gram` (p, p) float32, undefined where float32 must not be used, and all penalties that may be asked for.
  SinglePrecision(const at::Tensor& gram, const std::vector<double>& alphas);

  /// Of extreme eigenvalues, both with the least penalty added.
  SinglePrecision(double least, double largest, double smallest)
      : least_(least), largest_(largest), smallest_(smallest) {}

  bool suffices(double alpha) const;
  /// And what float32 leaves over need not be solved for once more.
  bool suffices_unrefined(double alpha) const;
  bool suffices_for_all() const { return suffices(least_); }

  /// No smaller than the largest eigenvalue, the least penalty added; 0 where float32 must not be used.
  double largest() const { return largest_; }

 private:
  double least_ = 0;     // penalty
  double largest_ = 0;   // eigenvalue, least penalty included
  double smallest_ = 0;  // the same
};

/// Factors of gram + alpha I for some alphas: one at a time on a CPU, all at once on a GPU.
class Factors;

/// A Gram matrix (p, p) float64 and the penalties that may be added to it, in float32 where `single` and the
/// conditioning allow that.
class PenalisedGram {
 public:
  PenalisedGram(const at::Tensor& gram, const std::vector<double>& alphas, bool single);

  const SinglePrecision& precision() const { return precision_; }
  bool in_single(double alpha) const { return precision_.suffices(alpha); }
  bool refined(double alpha) const { return !precision_.suffices_unrefined(alpha); }

  /// Of `count` neighbouring penalties of one precision; throws where even float64 is too coarse.
  Factors factors(const double* alphas, int64_t count) const;

 private:
  at::Tensor gram_;
  at::Tensor single_;
  SinglePrecision precision_;
};

/// Calls use(first, w) with solutions w (alphas, p, t) of (gram + alpha I) w = right, from alpha number `first` on,
/// until all had their turn; w is float32 where `single` and the conditioning allow that, else float64.
void each_solution(const at::Tensor& gram, const at::Tensor& right, const std::vector<double>& alphas, bool single,
                   c10::function_ref<void(int64_t, const at::Tensor&)> use);

/// Throws that even float64 is too coarse for gram + alpha I.
[[noreturn]] void refuse_penalty(double alpha);

/// Solves with a penalty for each target, by Cholesky: in float64, or in float32 and refined, where `single` and the
/// conditioning allow that. What it needs is made when first asked for.
class ChosenSolver {
 public:
  /// @param gram   (p, p) float64.
  /// @param alphas penalties.
  /// @param single allows float32.
  /// @param keep   keeps the factors for the next call, from whichever thread.
  ChosenSolver(at::Tensor gram, std::vector<double> alphas, bool single, bool keep);
  ~ChosenSolver();
  ChosenSolver(const ChosenSolver&) = delete;
  ChosenSolver& operator=(const ChosenSolver&) = delete;
  ChosenSolver(ChosenSolver&&) = delete;
  ChosenSolver& operator=(ChosenSolver&&) = delete;

  /// (p, t) float64: (gram + alphas[best] I)^-1 cross, target by target.
  at::Tensor solve(const at::Tensor& cross, const at::Tensor& best) const;

  /// The same in float32 throughout where that needs no refinement, on a CPU.
  /// @param products (p + 1, t): of [X, 1] and targets.
  /// @param mean     (p,): about which X is taken; undefined: 0.
  /// @param best     (t,): numbers of penalties.
  /// @return (p, t) float32
  at::Tensor solve(const Panels<float>& products, const at::Tensor& mean, const at::Tensor& best) const;

  const SinglePrecision& precision() const { return penalised().precision(); }

 private:
  const PenalisedGram& penalised() const;
  std::shared_ptr<const Factors> factors(std::size_t alpha) const;
  bool refined(const Factors& factors, std::size_t alpha) const;

  /// Calls use(number, targets) for each penalty that is best for some targets.
  void each_choice(const at::Tensor& best, c10::function_ref<void(std::size_t, const at::Tensor&)> use) const;

  /// (p, t) float64: right-hand sides of the same shape and type with one penalty.
  at::Tensor solve_with(std::size_t alpha, const at::Tensor& right) const;

  at::Tensor gram_;
  std::vector<double> alphas_;
  bool single_;
  bool keep_;
  mutable std::mutex mutex_;
  mutable std::optional<PenalisedGram> penalised_;
  mutable std::vector<std::shared_ptr<const Factors>> kept_;
};

}  // namespace brain2music::ridge
