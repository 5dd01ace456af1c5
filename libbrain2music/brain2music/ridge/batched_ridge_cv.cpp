#include "brain2music/ridge/batched_ridge_cv.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include "brain2music/device/full_precision.h"
#include "brain2music/device/memory.h"
#include "brain2music/ridge/choice.h"
#include "brain2music/ridge/fit.h"
#include "brain2music/ridge/padded_problems.h"
#include "brain2music/ridge/side_by_side.h"
#include "brain2music/ridge/training_rows.h"

namespace brain2music::ridge {
namespace {

constexpr auto where = "ridge.BatchedRidgeCV";

// More targets keep a GPU busy by themselves, and are worked on tile by tile.
constexpr int64_t padded_targets = 1024;

// Bytes that problems may take at once on a GPU, where no limit is given: enough to keep it busy.
constexpr int64_t padded_room = int64_t{4} << 30;

// Problems that are made ready together: among these, like is put to like.
constexpr int64_t problems_ahead = 64;

/// Problems on a GPU: as many at once as there is room for, of similar numbers of features.
class SideBySideOnGpu {
 public:
  SideBySideOnGpu(int64_t problems, const at::Tensor& y, const Folds& folds, const RidgeOptions& options)
      : y_(y),
        folds_(folds),
        options_(options),
        penalties_(std::ssize(options.alphas.empty() ? default_alphas() : options.alphas)),
        room_(options.memory_limit > 0 ? options.memory_limit : padded_room),
        fits_(static_cast<std::size_t>(problems)) {
    const int64_t free = device::free_memory(options.device.value_or(y.device())).value_or(2 * room_);
    room_ = std::min(room_, free / 2);
  }

  std::vector<RidgeFit> fit(const std::function<at::Tensor(int64_t)>& x) {
    for (std::size_t number = 0; number < fits_.size(); ++number) {
      const at::Tensor features = x(static_cast<int64_t>(number));
      if (!goes_with_others(features)) {
        RidgeOptions alone = options_;
        alone.on_progress = nullptr;
        fits_[number] = fit_problem(features, y_, folds_, alone, where);
        tell(1);
        continue;
      }
      waiting_.push_back({number, checked_design(features, y_, folds_, options_, where)});
      waiting_bytes_ += waiting_.back().design.features * features.size(0) * bytes_a_value;
      if (std::ssize(waiting_) == problems_ahead || waiting_bytes_ > room_ / 4) {
        fit_waiting();
      }
    }
    fit_waiting();
    return std::move(fits_);
  }

 private:
  struct Waiting {
    std::size_t number;
    Design design;
  };

  static constexpr int64_t bytes_a_value = 16;  // as given and about its mean, float64

  int64_t bytes(int64_t features) const {
    return padded_bytes(y_.size(0), features, y_.size(1), count_slots(folds_) - 1, penalties_);
  }

  bool goes_with_others(const at::Tensor& x) const {
    if (x.dim() != 2 || y_.size(1) > padded_targets || options_.keep_predictions || bytes(x.size(1)) > room_ / 2) {
      return false;
    }
    // Where a problem alone would be solved in an eigenbasis, it takes less time in a batch.
    return options_.solver == Solver::cholesky ||
           (options_.solver == Solver::automatic &&
            choose_solver(options_, y_.size(0), x.size(1), y_.size(1), folds_.size(),
                          options_.device.value_or(x.device())) != Solver::kernel);
  }

  void fit_waiting() {
    std::ranges::sort(waiting_, {}, [](const Waiting& one) { return one.design.features; });
    for (auto first = waiting_.begin(); first != waiting_.end();) {
      // At most a quarter more features than the fewest: a factor costs twice as much then.
      const int64_t most = first->design.features * 5 / 4 + 8;
      auto last = first;
      while (last != waiting_.end() && last->design.features <= most && last->design.type == first->design.type &&
             (last - first + 1) * bytes(last->design.features) <= room_ * 3 / 4) {
        ++last;
      }
      device::in_blocks(last - first, last - first, 1,
                        [&](int64_t skipped, int64_t count) { fit_some(first + skipped, first + skipped + count); });
      first = last;
    }
    waiting_.clear();
    waiting_bytes_ = 0;
  }

  void fit_some(std::vector<Waiting>::const_iterator first, std::vector<Waiting>::const_iterator last) {
    std::vector<Design> designs;
    std::ranges::transform(first, last, std::back_inserter(designs), &Waiting::design);
    std::vector<RidgeFit> fits = fit_padded(std::move(designs), y_, options_);
    for (RidgeFit& fit : fits) {
      fits_[first++->number] = std::move(fit);
    }
    tell(std::ssize(fits));
  }

  void tell(int64_t more) {
    done_ += more;
    if (options_.on_progress) {
      options_.on_progress(done_, std::ssize(fits_));
    }
  }

  const at::Tensor& y_;
  const Folds& folds_;
  const RidgeOptions& options_;
  int64_t penalties_;
  int64_t room_;
  std::vector<RidgeFit> fits_;
  std::vector<Waiting> waiting_;
  int64_t waiting_bytes_ = 0;
  int64_t done_ = 0;
};

}  // namespace

std::vector<RidgeFit> batched_ridge_cv(int64_t problems, const std::function<at::Tensor(int64_t)>& x,
                                       const at::Tensor& y, const Folds& folds, const RidgeOptions& options) {
  const device::FullPrecision full_precision;
  check_options(options, where);
  check_targets(y, where);
  const Folds checked = checked_folds(folds, y.size(0), where);
  if (options.device.value_or(y.device()).is_cuda()) {
    return SideBySideOnGpu(problems, y, checked, options).fit(x);
  }
  RidgeOptions of_each = options;
  of_each.on_progress = nullptr;
  of_each.memory_limit =
      options.memory_limit > 0 ? std::max<int64_t>(1, options.memory_limit / at::get_num_threads()) : 0;
  std::vector<RidgeFit> fits(static_cast<std::size_t>(problems));
  std::atomic<int64_t> done = 0;
  side_by_side(problems, y, [&](int64_t i) {
    fits[static_cast<std::size_t>(i)] = fit_problem(x(i), y, checked, of_each, where);
    if (options.on_progress) {
      options.on_progress(++done, problems);
    }
  });
  return fits;
}

std::vector<RidgeFit> batched_ridge_cv(const std::vector<at::Tensor>& xs, const at::Tensor& y, const Folds& folds,
                                       const RidgeOptions& options) {
  return batched_ridge_cv(
      static_cast<int64_t>(xs.size()), [&](int64_t i) { return xs[static_cast<std::size_t>(i)]; }, y, folds, options);
}

}  // namespace brain2music::ridge
