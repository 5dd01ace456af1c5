#include "brain2music/metrics/correlation.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>

#include <algorithm>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/metrics/lines.h"

namespace brain2music::metrics {

at::Tensor pearson_correlation(const at::Tensor& predicted, const at::Tensor& target, int64_t dim) {
  constexpr auto where = "metrics.pearson_correlation";
  const Lines a = lines_along(predicted, dim, "predicted", where);
  const Lines b = lines_along(target, dim, "target", where);
  check_pair(a, b, /*paired=*/true, where);
  require(a.length() >= 2, where, "a correlation needs two values or more; got ", a.length(), ": shape ",
          predicted.sizes(), " along dimension ", dim);
  std::vector<at::Tensor> parts{at::empty({0}, predicted.options().dtype(at::kDouble))};
  const int64_t step = lines_at_once(a.length());
  for (int64_t first = 0; first < a.count(); first += step) {
    const int64_t count = std::min(step, a.count() - first);
    parts.push_back((unit_block(a, first, count, where) * unit_block(b, first, count, where)).sum(1).clamp(-1, 1));
  }
  return at::cat(parts);
}

at::Tensor correlation_matrix(const at::Tensor& predicted, const at::Tensor& target) {
  constexpr auto where = "metrics.correlation_matrix";
  const Lines rows = lines_along(predicted, 1, "predicted", where);
  const Lines columns = lines_along(target, 1, "target", where);
  check_pair(rows, columns, /*paired=*/false, where);
  require(rows.length() >= 2, where, "a correlation needs two values or more; got rows of ", rows.length());
  if (rows.count() == 0 || columns.count() == 0) {
    return at::empty({rows.count(), columns.count()}, predicted.options().dtype(at::kDouble));
  }
  return at::matmul(unit_block(rows, 0, rows.count(), where), unit_block(columns, 0, columns.count(), where).t())
      .clamp_(-1, 1);
}

}  // namespace brain2music::metrics
