#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>

#include "brain2music/ridge/options.h"
#include "brain2music/ridge/problem.h"

namespace brain2music::ridge {

/// What was fitted, filled in tile by tile, from whichever thread; a tile may be done again.
class Results {
 public:
  /// Coefficients have `outputs` rows, predictions `rows`; `out` says type and device of all.
  Results(RidgeFit& fit, const Design& design, const RidgeOptions& options, int64_t outputs, int64_t rows,
          const at::TensorOptions& out);

  /// Coefficients, intercept and held-out predictions, where asked for.
  void refit(const Problem& problem, const Tile& tile, const at::Tensor& best) const;

  /// Of neighbouring targets that are done: which penalties were `best` (t,), by scores (penalties, t).
  void record(int64_t first, const at::Tensor& chosen_by, const at::Tensor& correlation, const at::Tensor& best);

  /// That so many more are done.
  void tell(int64_t targets);

  /// When all tiles are done.
  void finish();

  /// Writes the last dimension's entries from `first` on.
  static void put(const at::Tensor& all, int64_t first, const at::Tensor& values) {
    all.narrow(all.dim() - 1, first, values.size(values.dim() - 1)).copy_(values);
  }

 private:
  RidgeFit& fit_;
  const Design& design_;
  const RidgeOptions& options_;
  std::atomic<int64_t> at_first_ = 0;  // targets best at the first penalty given
  std::atomic<int64_t> at_last_ = 0;
  std::atomic<int64_t> done_ = 0;
};

}  // namespace brain2music::ridge
