#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "brain2music/kernels/fold_scores_body.h"
#include "brain2music/kernels/fold_scores_impl.h"

namespace brain2music::kernels {
namespace {

struct Sizes {
  int64_t penalties;
  int64_t features;
  int64_t targets;
};

// Features whose terms stay in the first-level cache while all penalties pass by.
constexpr int64_t features_at_once = 32;

// Neighbouring targets: a line of the cache.
constexpr int64_t lanes_at_once = 16;

template <class Real, int lanes>
struct Terms {
  std::array<std::array<Real, lanes>, features_at_once> c, product, far, near, gap;
};

/// Sums of one penalty; all penalties' lie in the first-level cache.
template <class Real, int lanes>
struct Sums {
  std::array<Real, lanes> predicted{}, product{}, squares{};
};

template <class Real, int lanes>
void load_terms(const Real* at, Sizes sizes, int64_t features, Terms<Real, lanes>& terms) {
  const int64_t matrix = sizes.features * sizes.targets;
  for (int64_t feature = 0; feature < features; ++feature, at += sizes.targets) {
    for (int lane = 0; lane < lanes; ++lane) {
      const FoldTerms<Real> term =
          fold_terms(at[lane], at[matrix + lane], at[2 * matrix + lane], at[3 * matrix + lane], at[4 * matrix + lane]);
      terms.c[feature][lane] = term.c;
      terms.product[feature][lane] = term.product;
      terms.far[feature][lane] = term.far;
      terms.near[feature][lane] = term.near;
      terms.gap[feature][lane] = term.gap;
    }
  }
}

/// Adds the terms of some features to the sums of one penalty, whose weights begin at `weight`, `step` apart.
template <class Real, int lanes>
void add_terms(const Terms<Real, lanes>& terms, const Real* weight, int64_t step, int64_t features,
               Sums<Real, lanes>& sums) {
  Sums<Real, lanes> total = sums;
  for (int64_t feature = 0; feature < features; ++feature, ++weight) {
    const FoldWeights<Real> w{weight[0], weight[step], weight[2 * step], weight[3 * step], weight[4 * step]};
    for (int lane = 0; lane < lanes; ++lane) {
      add_fold_terms({terms.c[feature][lane], terms.product[feature][lane], terms.far[feature][lane],
                      terms.near[feature][lane], terms.gap[feature][lane]},
                     w, total.predicted[lane], total.product[lane], total.squares[lane]);
    }
  }
  sums = total;
}

/// `lanes` neighbouring targets, all penalties.
template <class Real, int lanes>
void score_block(const Real* products, const Real* weights, double* out, Sizes sizes, int64_t target,
                 std::vector<Sums<Real, lanes>>& sums) {
  const auto [penalties, features, targets] = sizes;
  sums.assign(static_cast<std::size_t>(penalties), {});
  Terms<Real, lanes> terms;
  for (int64_t first = 0; first < features; first += features_at_once) {
    const int64_t count = std::min(features_at_once, features - first);
    load_terms<Real, lanes>(products + first * targets + target, sizes, count, terms);
    for (int64_t penalty = 0; penalty < penalties; ++penalty) {
      add_terms<Real, lanes>(terms, weights + penalty * features + first, penalties * features, count,
                             sums[static_cast<std::size_t>(penalty)]);
    }
  }
  for (int64_t penalty = 0; penalty < penalties; ++penalty) {
    const Sums<Real, lanes>& sum = sums[static_cast<std::size_t>(penalty)];
    double* row = out + penalty * targets + target;
    std::copy(sum.predicted.begin(), sum.predicted.end(), row);
    std::copy(sum.product.begin(), sum.product.end(), row + penalties * targets);
    std::copy(sum.squares.begin(), sum.squares.end(), row + 2 * penalties * targets);
  }
}

template <class Real>
void score_all(const at::Tensor& products, const at::Tensor& weights, const at::Tensor& sums) {
  const Sizes sizes{weights.size(1), products.size(1), products.size(2)};
  const Real* in = products.const_data_ptr<Real>();
  const Real* w = weights.const_data_ptr<Real>();
  auto* out = sums.mutable_data_ptr<double>();
  at::parallel_for(0, (sizes.targets + lanes_at_once - 1) / lanes_at_once, 16, [&](int64_t first, int64_t last) {
    std::vector<Sums<Real, lanes_at_once>> whole;
    std::vector<Sums<Real, 1>> one;
    for (int64_t block = first; block < last; ++block) {
      const int64_t target = block * lanes_at_once;
      if (target + lanes_at_once <= sizes.targets) {
        score_block<Real, lanes_at_once>(in, w, out, sizes, target, whole);
      } else {
        for (int64_t single = target; single < sizes.targets; ++single) {
          score_block<Real, 1>(in, w, out, sizes, single, one);
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
