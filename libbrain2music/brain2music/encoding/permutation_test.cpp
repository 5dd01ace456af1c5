#include "brain2music/encoding/permutation_test.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/encoding/permutation_tail.h"
#include "brain2music/kernels/permutation_null.h"
#include "brain2music/kernels/standardize.h"

namespace brain2music::encoding {
namespace {

constexpr auto where = "encoding.permutation_test";
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// Scores that differ by less are equal: sums of the same numbers in another order. Of a correlation.
double slack_of(at::ScalarType type) { return type == at::kFloat ? 4e-6 : 1e-12; }

/// Predictions of voxels first ... first + count - 1: (n, r, count).
using Predict = std::function<at::Tensor(int64_t first, int64_t count)>;

/// A tile's columns of mean 0 and standard deviation 1, (n, r, count).
at::Tensor standard(const at::Tensor& x) {
  return kernels::standardize(x.reshape({x.size(0) * x.size(1), x.size(2)})).view(x.sizes());
}

/// Which columns of both vary: (count,) bool, false also for NaN. Columns that do not are zeros, and score exactly 0;
/// few others do.
at::Tensor vary(const at::Tensor& p, const at::Tensor& y, const at::Tensor& own) {
  at::Tensor varies = own.isfinite();
  const at::Tensor asked = (own == 0).nonzero().squeeze(1);
  if (asked.numel() > 0) {
    const auto any = [&](const at::Tensor& x) { return x.index_select(2, asked).ne(0).flatten(0, 1).any(0); };
    varies.index_put_({asked}, any(p) & any(y));
  }
  return varies;
}

/// P by the voxels' own laws, where permutations were too few.
void use_tails(const at::Tensor& predicted, const at::Tensor& observed, const at::Tensor& rare, at::Tensor& p) {
  const at::Tensor voxels = rare.nonzero().squeeze(1);
  if (voxels.numel() == 0) {
    return;
  }
  const auto host = [&](const at::Tensor& x) {
    return x.index_select(2, voxels).to(at::kCPU, at::kDouble).contiguous();
  };
  const at::Tensor tails = permutation_tail(host(predicted), host(observed)).to(p.device());
  const at::Tensor counted = p.index_select(0, voxels);
  p.index_put_({voxels}, at::where(tails.isnan(), counted, tails));
}

PermutationTest test(const Predict& predict, const at::Tensor& observed, const at::Tensor& permutations,
                     const PermutationTestOptions& options) {
  const int64_t voxels = observed.size(2);
  const auto rows = static_cast<double>(observed.size(0) * observed.size(1));
  const auto orders = static_cast<double>(permutations.size(0));
  const auto real = observed.options().dtype(at::kDouble);
  std::vector<at::Tensor> scores{at::zeros({0}, real)};
  std::vector<at::Tensor> chances{scores.front()};
  std::vector<at::Tensor> counts{at::zeros({0}, real.dtype(at::kLong))};
  std::vector<at::Tensor> tails{at::zeros({0}, real.dtype(at::kBool))};
  at::Tensor largest = at::full({permutations.size(0)}, -std::numeric_limits<double>::infinity(), real);
  for (int64_t first = 0; first < voxels; first += options.tile) {
    const int64_t count = std::min(options.tile, voxels - first);
    const at::Tensor p = standard(predict(first, count));
    const at::Tensor y = standard(observed.narrow(2, first, count));
    const double slack = slack_of(y.scalar_type()) * rows;
    const kernels::PermutationNull null = kernels::permutation_null(p, y, permutations, slack);
    largest = at::maximum(largest, null.largest.to(at::kDouble) / rows);
    const at::Tensor varies = vary(p, y, null.own);
    const at::Tensor score = at::where(varies, (null.own.to(at::kDouble) / rows).clamp(-1, 1), nan);
    const at::Tensor counted = null.at_least.to(at::kDouble);
    at::Tensor chance = options.all_orders ? counted / orders : (counted + 1) / (orders + 1);
    chance = at::where(varies, chance, nan);
    at::Tensor rare = varies & (null.at_least < options.fewest);
    if (!options.tail || options.all_orders) {
      rare.zero_();
    }
    use_tails(p, y, rare, chance);
    scores.push_back(score);
    chances.push_back(chance);
    counts.push_back(at::where(varies, null.at_least, 0));
    tails.push_back(rare);
    if (options.on_progress) {
      options.on_progress(first + count, voxels);
    }
  }
  PermutationTest result{at::cat(scores), at::cat(chances), {}, at::cat(counts), largest, at::cat(tails)};
  const at::Tensor sorted = std::get<0>(largest.sort());
  const at::Tensor below = at::searchsorted(sorted, result.score - slack_of(observed.scalar_type()));
  const at::Tensor reached = orders - below.to(at::kDouble);
  result.p_max =
      at::where(result.score.isnan(), nan, options.all_orders ? reached / orders : (reached + 1) / (orders + 1));
  return result;
}

void check(const at::Tensor& observed, const at::Tensor& permutations, const PermutationTestOptions& options) {
  require(observed.dim() == 3, where, "observed must be (clips, windows, voxels); got shape ", observed.sizes());
  require(observed.size(0) * observed.size(1) >= 2, where, "a correlation needs two rows or more; got shape ",
          observed.sizes());
  require(permutations.dim() == 2 && permutations.size(0) > 0, where,
          "permutations must be (permutations, clips), one or more; got shape ", permutations.sizes());
  require(options.tile > 0, where, "tile must be positive; got ", options.tile);
}

}  // namespace

PermutationTest permutation_test(const at::Tensor& predicted, const at::Tensor& observed,
                                 const at::Tensor& permutations, const PermutationTestOptions& options) {
  check(observed, permutations, options);
  require(predicted.sizes() == observed.sizes() && predicted.scalar_type() == observed.scalar_type(), where,
          "predicted must have the shape and type of observed; got ", predicted.scalar_type(), " ", predicted.sizes(),
          " for ", observed.scalar_type(), " ", observed.sizes());
  return test([&](int64_t first, int64_t count) { return predicted.narrow(2, first, count); }, observed, permutations,
              options);
}

PermutationTest permutation_test(const at::Tensor& features, const at::Tensor& coef, const at::Tensor& observed,
                                 const at::Tensor& permutations, const PermutationTestOptions& options) {
  check(observed, permutations, options);
  require(features.dim() == 3 && features.size(0) == observed.size(0) && features.size(1) == observed.size(1), where,
          "features must be (", observed.size(0), ", ", observed.size(1), ", features); got shape ", features.sizes());
  require(coef.dim() == 2 && coef.size(0) == features.size(2) && coef.size(1) == observed.size(2), where,
          "coef must be (", features.size(2), ", ", observed.size(2), "); got shape ", coef.sizes());
  const at::Tensor rows = features.reshape({-1, features.size(2)}).to(observed.scalar_type());
  return test(
      [&](int64_t first, int64_t count) {
        return at::matmul(rows, coef.narrow(1, first, count).to(observed.scalar_type()))
            .view({observed.size(0), observed.size(1), count});
      },
      observed, permutations, options);
}

}  // namespace brain2music::encoding
