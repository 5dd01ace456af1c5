#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "brain2music/kernels/fold_scores_body.h"
#include "brain2music/kernels/fold_scores_impl.h"

namespace brain2music::kernels {
namespace {

struct Sizes {
  int64_t penalties;
  int64_t features;
  int64_t targets;
};

/// `lanes` neighbouring targets and up to penalties_at_once penalties from `penalty` on.
template <class Real, int lanes>
void score_block(const Real* products, const Real* weights, double* sums, Sizes sizes, int64_t target,
                 int64_t penalty) {
  const auto [penalties, features, targets] = sizes;
  const int64_t matrix = features * targets;
  const int count = static_cast<int>(std::min<int64_t>(penalties_at_once, penalties - penalty));
  std::array<std::array<std::array<Real, lanes>, penalties_at_once>, 3> total{};
  for (int64_t feature = 0; feature < features; ++feature) {
    const Real* at = products + feature * targets + target;
    for (int k = 0; k < penalties_at_once; ++k) {
      // Beyond the last penalty its own weights are used again, and the sums dropped.
      const Real* weight = weights + (penalty + std::min(k, count - 1)) * features + feature;
      const int64_t step = penalties * features;
      const FoldWeights<Real> w{weight[0], weight[step], weight[2 * step], weight[3 * step], weight[4 * step]};
      for (int lane = 0; lane < lanes; ++lane) {
        const auto terms = fold_terms(at[lane], at[matrix + lane], at[2 * matrix + lane], at[3 * matrix + lane],
                                      at[4 * matrix + lane]);
        add_fold_terms(terms, w, total[0][k][lane], total[1][k][lane], total[2][k][lane]);
      }
    }
  }
  for (int sum = 0; sum < 3; ++sum) {
    for (int k = 0; k < count; ++k) {
      for (int lane = 0; lane < lanes; ++lane) {
        sums[(sum * penalties + penalty + k) * targets + target + lane] = static_cast<double>(total[sum][k][lane]);
      }
    }
  }
}

template <class Real>
void score_all(const at::Tensor& products, const at::Tensor& weights, const at::Tensor& sums) {
  constexpr int lanes = 8;
  const Sizes sizes{weights.size(1), products.size(1), products.size(2)};
  const Real* in = products.const_data_ptr<Real>();
  const Real* w = weights.const_data_ptr<Real>();
  auto* out = sums.mutable_data_ptr<double>();
  at::parallel_for(0, (sizes.targets + lanes - 1) / lanes, 16, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      for (int64_t penalty = 0; penalty < sizes.penalties; penalty += penalties_at_once) {
        const int64_t target = block * lanes;
        if (target + lanes <= sizes.targets) {
          score_block<Real, lanes>(in, w, out, sizes, target, penalty);
        } else {
          for (int64_t single = target; single < sizes.targets; ++single) {
            score_block<Real, 1>(in, w, out, sizes, single, penalty);
          }
        }
      }
    }
  });
}

}  // namespace

at::Tensor fold_scores_cpu(const at::Tensor& products, const at::Tensor& weights) {
  at::Tensor sums = at::empty({3, weights.size(1), products.size(2)}, products.options().dtype(at::kDouble));
  if (products.scalar_type() == at::kFloat) {
    score_all<float>(products, weights, sums);
  } else {
    score_all<double>(products, weights, sums);
  }
  return sums;
}

}  // namespace brain2music::kernels
