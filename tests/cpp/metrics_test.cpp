#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>

#include <limits>

#include "brain2music/metrics/class_agreement.h"
#include "brain2music/metrics/correlation.h"
#include "brain2music/metrics/identification.h"
#include "brain2music/metrics/r2.h"
#include "catch.h"
#include "oracle.h"

using brain2music::metrics::class_agreement;
using brain2music::metrics::correlation_matrix;
using brain2music::metrics::Identification;
using brain2music::metrics::identification_accuracy;
using brain2music::metrics::identification_scores;
using brain2music::metrics::pearson_correlation;
using brain2music::metrics::r2_score;

namespace {

bool close(const at::Tensor& ours, const at::Tensor& theirs) {
  return ours.scalar_type() == at::kDouble && at::allclose(ours.cpu(), theirs, 0, 1e-12);
}

}  // namespace

TEST_CASE("correlations and R2 equal SciPy's and scikit-learn's", "[metrics][cuda]") {
  for (const at::Device device : devices()) {
    const at::Tensor predicted = oracle("metrics_predicted").to(device);
    const at::Tensor target = oracle("metrics_target").to(device);
    CHECK(close(pearson_correlation(predicted, target, 0), oracle("metrics_columns")));
    CHECK(close(pearson_correlation(predicted, target, 1), oracle("metrics_rows")));
    CHECK(close(pearson_correlation(predicted.t(), target.t(), -1), oracle("metrics_columns")));
    CHECK(close(correlation_matrix(predicted, target), oracle("metrics_matrix")));
    CHECK(close(r2_score(predicted, target), oracle("metrics_r2")));
  }
}

TEST_CASE("identification is the paper's formula, ties one half", "[metrics][cuda]") {
  for (const at::Device device : devices()) {
    const at::Tensor predicted = oracle("metrics_predicted").to(device);
    const at::Tensor target = oracle("metrics_target").to(device);
    const Identification items = identification_accuracy(predicted, target);
    CHECK(close(items.per_item, oracle("metrics_items")));
    CHECK(close(items.mean, oracle("metrics_items").mean()));
    const at::Tensor clips = oracle("metrics_clips").to(device);
    CHECK(close(identification_accuracy(predicted, target, clips).per_item, oracle("metrics_windows")));
    CHECK(close(identification_scores(predicted, target).diagonal(), oracle("metrics_items")));
    CHECK(close(identification_scores(predicted, target, 4).diagonal(), oracle("metrics_windows")));
    const at::Tensor worst = identification_accuracy(target, target).per_item.min();  // a target that is there twice
    CHECK(close(worst, at::full({}, 58.5 / 59, at::kDouble)));
  }
}

TEST_CASE("class agreement counts the shared of the most likely", "[metrics][cuda]") {
  for (const at::Device device : devices()) {
    const at::Tensor original = oracle("metrics_original").to(device);
    const at::Tensor reconstructed = oracle("metrics_reconstructed").to(device);
    CHECK(close(class_agreement(original, reconstructed, {7, 2, 3, 11, 5}, 2), oracle("metrics_agreement")));
    CHECK(class_agreement(original, reconstructed, {7, 2}, 2).min().item<double>() == 1);
  }
}

TEST_CASE("many items come block by block, with one answer", "[metrics]") {
  const at::Tensor target = at::randn({5000, 3}, at::kDouble);
  const at::Tensor predicted = target + at::randn({5000, 3}, at::kDouble);
  const at::Tensor all = identification_accuracy(predicted, target).per_item;
  const at::Tensor own = correlation_matrix(predicted, target);
  for (const int64_t item : {0, 418, 419, 4999}) {  // either side of a block's edge, and the ends
    const at::Tensor row = own[item];
    CHECK(close(all[item], (row < row[item]).sum().to(at::kDouble) / 4999));
  }
  const at::Tensor wide = at::randn({7, 300'000}, at::kDouble);
  const at::Tensor r = pearson_correlation(wide, wide.flip(0), 0);
  CHECK(close(r.narrow(0, 299'580, 20),
              pearson_correlation(wide.narrow(1, 299'580, 20), wide.flip(0).narrow(1, 299'580, 20), 0)));
}

TEST_CASE("large and small numbers neither over- nor underflow", "[metrics]") {
  const at::Tensor x = at::randn({9, 4}, at::kDouble);
  const at::Tensor y = x + at::randn({9, 4}, at::kDouble);
  const at::Tensor r = pearson_correlation(x, y, 0);
  CHECK(close(pearson_correlation(x * 1e299, y * 1e-300, 0), r));
  CHECK(at::allclose(pearson_correlation(x + 1e6, y - 1e6, 0), r, 0, 1e-8));
  CHECK(close(r2_score(x * 1e290, y * 1e290), r2_score(x, y)));
}

TEST_CASE("what has no answer is refused by name", "[metrics]") {
  const at::Tensor x = at::randn({6, 5});
  at::Tensor flat = x.clone();
  flat[4] = 0.1;
  CHECK_THROWS_WITH(identification_accuracy(x, flat),
                    ContainsSubstring("[metrics.identification_accuracy] row 4 of target must vary") &&
                        ContainsSubstring("in all of its 5 values"));
  CHECK_THROWS_WITH(pearson_correlation(flat.t(), x.t(), 0), ContainsSubstring("column 4 of predicted must vary"));
  CHECK_THROWS_WITH(r2_score(x.t(), flat.t()), ContainsSubstring("column 4 of target must vary"));
  CHECK(r2_score(flat.t(), x.t()).numel() == 6);  // a constant prediction is poor, not undefined
  at::Tensor bad = x.clone();
  bad[2][3] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH(identification_accuracy(bad, x), ContainsSubstring("got nan at row 2, column 3"));
  CHECK_THROWS_WITH(pearson_correlation(x, bad, 0), ContainsSubstring("got nan at column 3, row 2"));
  CHECK_THROWS_WITH(class_agreement(x, bad, {0}, 1), ContainsSubstring("reconstructed must be finite"));
  CHECK_THROWS_WITH(identification_accuracy(x, x.narrow(0, 0, 3)), ContainsSubstring("got [6, 5] and [3, 5]"));
  CHECK_THROWS_WITH(identification_accuracy(x.narrow(0, 0, 1), x.narrow(0, 0, 1)), ContainsSubstring("two targets"));
  CHECK_THROWS_WITH(identification_accuracy(x, x, at::ones({6}, at::kLong)), ContainsSubstring("got none for item 0"));
  CHECK_THROWS_WITH(identification_accuracy(x, x, at::ones({5}, at::kLong)), ContainsSubstring("one for each row"));
  CHECK_THROWS_WITH(identification_scores(x, x, 4), ContainsSubstring("4 windows"));
  CHECK_THROWS_WITH(pearson_correlation(x[0], x[0], 0), ContainsSubstring("two dimensions; got shape [5]"));
  CHECK_THROWS_WITH(pearson_correlation(x.to(at::kComplexFloat), x, 0), ContainsSubstring("real numbers"));
  CHECK_THROWS_WITH(class_agreement(x, x, {0, 5}, 1), ContainsSubstring("got 5 for shape [6, 5]"));
  CHECK_THROWS_WITH(class_agreement(x, x, {2, 2}, 1), ContainsSubstring("got 2 twice"));
  CHECK_THROWS_WITH(class_agreement(x, x, {0, 1}, 3), ContainsSubstring("got 3 of 2 classes"));
}
