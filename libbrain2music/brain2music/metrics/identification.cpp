#include "brain2music/metrics/identification.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sort.h>

#include <algorithm>
#include <string_view>
#include <tuple>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/kernels/values.h"
#include "brain2music/metrics/lines.h"

namespace brain2music::metrics {
namespace {

/// Equal targets may leave a matrix product with correlations a rounding apart.
constexpr double tie = 1e-12;

/// Groups as given, or one group an item.
at::Tensor checked_groups(const std::optional<at::Tensor>& groups, const at::Tensor& target, std::string_view where) {
  if (!groups) {
    return at::arange(target.size(0), target.options().dtype(at::kLong));
  }
  require(groups->dim() == 1 && groups->size(0) == target.size(0) && groups->scalar_type() == at::kLong, where,
          "groups must be int64, one for each row of target; got ", groups->scalar_type(), " of shape ",
          groups->sizes(), " for shape ", target.sizes());
  require(groups->device() == target.device(), where, "groups must lie on the device of target; got ",
          groups->device().str(), " and ", target.device().str());
  return *groups;
}

void require_distractors(const at::Tensor& distractors, int64_t first, std::string_view where) {
  const at::Tensor none = distractors == 0;
  if (kernels::has_values(none) && none.any().item<bool>()) {
    require(false, where, "every item must have a distractor; got none for item ",
            first + at::nonzero(none)[0][0].item<int64_t>(), ": all are of its group");
  }
}

struct Checked {
  Lines predicted;
  Lines target;
};

Checked checked(const at::Tensor& predicted, const at::Tensor& target, bool paired, std::string_view where) {
  Checked both{lines_along(predicted, 1, "predicted", where), lines_along(target, 1, "target", where)};
  check_pair(both.predicted, both.target, paired, where);
  require(both.predicted.length() >= 2, where, "a correlation needs two dimensions or more; got shape ",
          predicted.sizes());
  require(both.target.count() >= 2 && both.predicted.count() >= 1, where,
          "identification needs two targets or more; got shapes ", predicted.sizes(), " and ", target.sizes());
  return both;
}

/// In halves: how many values of a sorted row lie below `value`, those that tie counting one half.
at::Tensor count_below(const at::Tensor& sorted, const at::Tensor& value) {
  const at::Tensor less = at::searchsorted(sorted, (value - tie).contiguous(), /*out_int32=*/false, /*right=*/false);
  const at::Tensor not_more = at::searchsorted(sorted, (value + tie).contiguous(), /*out_int32=*/false, /*right=*/true);
  return less + not_more;
}

/// In halves, by what a is more than b: 2 where it is above, 1 where they tie, 0 below. int8, an eighth of what it is
/// computed from.
at::Tensor half_points(const at::Tensor& difference) {
  return (difference > tie).to(at::kChar) + (difference >= -tie).to(at::kChar);
}

}  // namespace

Identification identification_accuracy(const at::Tensor& predicted, const at::Tensor& target,
                                       const std::optional<at::Tensor>& groups) {
  constexpr auto where = "metrics.identification_accuracy";
  const auto [rows, columns] = checked(predicted, target, /*paired=*/true, where);
  const at::Tensor group = checked_groups(groups, target, where);
  const int64_t items = rows.count();
  const at::Tensor targets = unit_block(columns, 0, items, where);
  std::vector<at::Tensor> parts;
  const int64_t step = lines_at_once(items);
  for (int64_t first = 0; first < items; first += step) {
    const int64_t count = std::min(step, items - first);
    at::Tensor correlation = at::matmul(unit_block(rows, first, count, where), targets.t());
    const at::Tensor own = correlation.diagonal(first).unsqueeze(1).clone();
    const at::Tensor excess = correlation.sub_(own).neg_();  // in place: this block is the most there is
    const at::Tensor distractor = group.narrow(0, first, count).unsqueeze(1) != group;
    const at::Tensor distractors = distractor.sum(1);
    require_distractors(distractors, first, where);
    parts.push_back(half_points(excess).mul(distractor).sum(1).to(at::kDouble) / (2 * distractors));
  }
  const at::Tensor per_item = at::cat(parts);
  return {per_item.mean(), per_item};
}

at::Tensor identification_scores(const at::Tensor& predicted, const at::Tensor& target, int64_t windows) {
  constexpr auto where = "metrics.identification_scores";
  const auto [rows, columns] = checked(predicted, target, /*paired=*/false, where);
  const int64_t items = columns.count();
  require(windows >= 1 && windows < items && items % windows == 0, where,
          "the rows of target must be two or more groups of `windows` rows; got shape ", target.sizes(), " and ",
          windows, " windows");
  const at::Tensor targets = unit_block(columns, 0, items, where);
  std::vector<at::Tensor> parts;
  const int64_t step = lines_at_once(items * windows);
  for (int64_t first = 0; first < rows.count(); first += step) {
    const int64_t count = std::min(step, rows.count() - first);
    const at::Tensor correlation = at::matmul(unit_block(rows, first, count, where), targets.t());
    // Each row is sorted once, so that all its targets are ranked at the cost of a sort; what the target's own group
    // (itself included, a tie) added to its rank is then taken off.
    const at::Tensor below = count_below(std::get<0>(at::sort(correlation, 1)), correlation);
    const at::Tensor grouped = correlation.reshape({count, items / windows, windows});
    const at::Tensor within = half_points(grouped.unsqueeze(3) - grouped.unsqueeze(2)).sum(3).reshape({count, items});
    parts.push_back((below - within).to(at::kDouble) / (2 * (items - windows)));
  }
  return at::cat(parts);
}

}  // namespace brain2music::metrics
