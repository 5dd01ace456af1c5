#include "brain2music/metrics/class_agreement.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

#include <set>
#include <string_view>
#include <tuple>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/metrics/lines.h"

namespace brain2music::metrics {
namespace {

constexpr auto where = "metrics.class_agreement";

/// 1 for the n most likely classes of each item, 0 for the others: (items, classes of the group).
at::Tensor most_likely(const Lines& scores, at::IntArrayRef classes, int64_t n) {
  const at::Tensor all = finite_block(scores, 0, scores.count(), where);
  std::vector<at::Tensor> chosen;  // column by column: no tensor of indices that would have to be sent to the device
  chosen.reserve(classes.size());
  for (const int64_t column : classes) {
    chosen.push_back(all.select(1, column));
  }
  const at::Tensor group = at::stack(chosen, 1);
  const at::Tensor order = std::get<1>(at::sort(group, /*stable=*/true, /*dim=*/1, /*descending=*/true));
  return at::zeros_like(group).scatter(1, order.narrow(1, 0, n), 1);
}

}  // namespace

at::Tensor class_agreement(const at::Tensor& original, const at::Tensor& reconstructed, at::IntArrayRef classes,
                           int64_t n) {
  const Lines a = lines_along(original, 1, "original", where);
  const Lines b = lines_along(reconstructed, 1, "reconstructed", where);
  check_pair(a, b, /*paired=*/true, where);
  std::set<int64_t> seen;
  for (const int64_t column : classes) {
    require(column >= 0 && column < a.length(), where, "classes must be columns of original; got ", column,
            " for shape ", original.sizes());
    require(seen.insert(column).second, where, "a class must be listed once; got ", column, " twice");
  }
  const auto size = static_cast<int64_t>(classes.size());
  require(n >= 1 && n <= size, where, "n must be from 1 to the size of the group; got ", n, " of ", size, " classes");
  return (most_likely(a, classes, n) * most_likely(b, classes, n)).sum(1) / n;
}

}  // namespace brain2music::metrics
