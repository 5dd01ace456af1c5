#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/FunctionRef.h>

#include <cstdint>
#include <vector>

/// Solving with gram + alpha I for many alphas, in float32 where that does.
namespace brain2music::ridge {

/// Which penalties let float32 do, by the extreme eigenvalues of a Gram matrix: estimates from a few power iterations,
/// with room for where they have not converged.
class SinglePrecision {
 public:
  /// Of `gram` (p, p) float32, undefined where float32 must not be used, and all penalties that may be asked for.
  SinglePrecision(const at::Tensor& gram, const std::vector<double>& alphas);

  bool suffices(double alpha) const;
  bool suffices_for_all() const { return suffices(least_); }

 private:
  double least_ = 0;     // penalty
  double largest_ = 0;   // eigenvalue, least penalty included
  double smallest_ = 0;  // the same
};

/// Calls use(first, w) with solutions w (alphas, p, t) of (gram + alpha I) w = right, from alpha number `first` on,
/// until all had their turn; w is float32 where `single` and the conditioning allow that, else float64.
void each_solution(const at::Tensor& gram, const at::Tensor& right, const std::vector<double>& alphas, bool single,
                   c10::function_ref<void(int64_t, const at::Tensor&)> use);

/// (p, t) float64: (gram + alphas[best] I)^-1 cross, target by target, by Cholesky: in float64, or in float32 and
/// refined, where `single` and the conditioning allow that.
at::Tensor solve_chosen(const at::Tensor& gram, const at::Tensor& cross, const std::vector<double>& alphas,
                        const at::Tensor& best, bool single);

}  // namespace brain2music::ridge
