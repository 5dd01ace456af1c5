#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "brain2music/encoding/permutation_test.h"
#include "brain2music/kernels/permutation_null.h"
#include "brain2music/kernels/permutation_null_body.h"
#include "brain2music/metrics/correlation.h"
#include "catch.h"
#include "oracle.h"

using brain2music::encoding::permutation_test;
using brain2music::encoding::PermutationTest;
using brain2music::kernels::permutation_null;
using brain2music::kernels::PermutationColumn;
using brain2music::kernels::PermutationNull;

namespace {

at::Tensor orders_of(int64_t count, int64_t blocks) {
  std::vector<at::Tensor> orders;
  for (int64_t m = 0; m < count; ++m) {
    orders.push_back(at::randperm(blocks, at::kLong));
  }
  return at::stack(orders);
}

}  // namespace

TEST_CASE("permuted scores are, to the bit, those of a GPU's thread", "[kernels][cuda]") {
  for (const int64_t blocks : {7, 60, 150}) {  // of the last, pairs are not tabled
    const at::Tensor predicted = at::randn({blocks, 3, 21});
    const at::Tensor observed = at::randn({blocks, 3, 21});
    const at::Tensor orders = orders_of(37, blocks);
    std::vector<int64_t> count(21, 0);
    std::vector<float> largest(37, -1e9F);
    std::vector<float> own(21);
    for (int64_t v = 0; v < 21; ++v) {
      const PermutationColumn<float> column{predicted.const_data_ptr<float>() + v, observed.const_data_ptr<float>() + v,
                                            blocks, 3, 21};
      own[v] = column.own_score();
      for (int64_t m = 0; m < 37; ++m) {
        const float score = column.score(orders.const_data_ptr<int64_t>() + m * blocks);
        count[v] += score >= own[v] - 0.5F ? 1 : 0;
        largest[m] = std::max(largest[m], score);
      }
    }
    for (const at::Device device : devices()) {
      const PermutationNull null = permutation_null(predicted.to(device), observed.to(device), orders.to(device), 0.5);
      CHECK(null.at_least.cpu().equal(at::tensor(count)));
      CHECK(null.largest.cpu().equal(at::tensor(largest)));
      CHECK(null.own.cpu().equal(at::tensor(own)));
    }
  }
}

TEST_CASE("a permutation test finds what is there, and predicts by itself", "[encoding][cuda]") {
  for (const at::Device device : devices()) {
    const at::Tensor features = at::randn({40, 2, 5}).to(device);
    const at::Tensor coef = at::randn({5, 30}).to(device);
    at::Tensor observed = at::randn({40, 2, 30}).to(device);
    observed.narrow(2, 0, 10) += at::matmul(features, coef.narrow(1, 0, 10));
    const at::Tensor orders = orders_of(200, 40).to(device);
    const PermutationTest test = permutation_test(features, coef, observed, orders);
    const at::Tensor predicted = at::matmul(features, coef);
    const PermutationTest same = permutation_test(predicted, observed, orders);
    const at::Tensor r =
        brain2music::metrics::pearson_correlation(predicted.view({80, 30}), observed.view({80, 30}), 0);
    CHECK(at::allclose(test.score, r, 0, 1e-5));
    CHECK(at::allclose(test.p, same.p, 1e-3, 1e-12));
    CHECK(test.p.narrow(0, 0, 10).lt(0.01).all().item<bool>());
    CHECK(test.p.narrow(0, 10, 20).lt(0.05).sum().item<int64_t>() < 8);
    CHECK(test.p_max.narrow(0, 0, 10).lt(0.01).all().item<bool>());
    CHECK(test.in_tail.narrow(0, 0, 10).all().item<bool>());
    CHECK(test.p.device() == features.device());
  }
}

TEST_CASE("a permutation test refuses what does not fit", "[encoding]") {
  const at::Tensor x = at::randn({4, 2, 3});
  const at::Tensor orders = orders_of(5, 4);
  CHECK_THROWS_AS(permutation_test(x, x.narrow(2, 0, 2), orders), std::invalid_argument);
  CHECK_THROWS_AS(permutation_test(x, x.view({8, 3}), orders), std::invalid_argument);
  CHECK_THROWS_AS(permutation_test(x, x, orders_of(5, 3)), std::invalid_argument);
  CHECK_THROWS_AS(permutation_test(x, at::randn({2, 3}), x, orders), std::invalid_argument);
  CHECK_THROWS_AS(permutation_null(x, x, orders + 1), std::invalid_argument);
  CHECK_THROWS_AS(permutation_null(x, x, orders, -1), std::invalid_argument);
}
