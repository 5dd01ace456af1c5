#include "brain2music/kernels/sample_tokens.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/PhiloxRNGEngine.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "brain2music/kernels/sample_tokens_tile.h"
#include "catch.h"
#include "oracle.h"

using namespace brain2music::kernels;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan_logit = std::numeric_limits<float>::quiet_NaN();
constexpr int64_t seed = -7;

/// Rows of logits, and all that is drawn from them.
struct Rows {
  at::Tensor logits;
  at::Tensor ranges;
  at::Tensor streams;
  at::Tensor step = at::scalar_tensor(3, at::kLong);

  static Rows whole(const at::Tensor& logits) {
    const int64_t n = logits.size(0);
    return {logits, at::stack({at::zeros({n}, at::kLong), at::full({n}, logits.size(1), at::kLong)}, 1),
            at::arange(n) * 1'000'003 - 5};
  }

  at::Tensor drawn(const SampleOptions& options, at::Device device = at::kCPU) const {
    return sample_tokens(logits.to(device), ranges.to(device), streams.to(device), step.to(device), seed, options)
        .cpu();
  }
};

/// A loop stands for the threads of a block between two barriers; either way round, since their order is not known.
struct LoopTeam {
  bool backwards;

  template <class Work>
  void each(const Work& work) const {
    for (int i = 0; i < SampleBlock::threads; ++i) {
      work(backwards ? SampleBlock::threads - 1 - i : i);
    }
  }
};

/// The CUDA kernel's grid, thread by thread, with its own memory and arithmetic.
at::Tensor drawn_as_a_gpu_would(const Rows& rows, const SampleOptions& options, bool backwards) {
  const int64_t n = rows.logits.size(0);
  at::Tensor weights = at::full(rows.logits.sizes(), -1, at::kLong);  // never zero by luck
  at::Tensor tokens = at::full({n}, -2, at::kLong);
  const SampleBlock work{rows.logits.const_data_ptr<float>(),
                         rows.ranges.const_data_ptr<int64_t>(),
                         rows.streams.const_data_ptr<int64_t>(),
                         rows.step.const_data_ptr<int64_t>(),
                         seed,
                         SampleSettings::of(options.temperature, options.top_k, options.top_p),
                         n,
                         rows.logits.size(1),
                         reinterpret_cast<std::uint64_t*>(weights.mutable_data_ptr<int64_t>()),
                         tokens.mutable_data_ptr<int64_t>()};
  for (int64_t row = 0; row < n; ++row) {
    SampleBlock::Memory memory;
    std::memset(&memory, 0xFF, sizeof memory);
    work.run(LoopTeam{backwards}, row, memory);
  }
  return tokens;
}

}  // namespace

TEST_CASE("random numbers are those of Random123 and of at::Philox4_32", "[kernels]") {
  // kat_vectors of Random123: philox4x32 10, counter, key, result
  CHECK(random_bits(0, 0, 0) == 0x6627e8d5e169c58dU);
  CHECK(random_bits(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}) == 0x408f276d41c83b0eU);
  CHECK(random_bits(0x299f31d0a4093822U, 0x0370734413198a2eU, 0x85a308d3243f6a88U) == 0xd16cfe0994fdccebU);
  for (uint64_t i = 0; i < 1000; ++i) {
    const uint64_t key = i * 0x9E3779B97F4A7C15U;
    const uint64_t stream = i % 3 == 0 ? i : key * key;
    const uint64_t step = i % 5 == 0 ? i : ~key;
    at::Philox4_32 philox(key, stream, step);
    const uint64_t high = philox();
    REQUIRE(random_bits(key, stream, step) == (high << 32U | philox()));
  }
}

TEST_CASE("weights are exponentials in units of 2^-40", "[kernels]") {
  CHECK(logit_weight(-3.5F, -3.5F, 7) == uint64_t{1} << 40U);
  CHECK(logit_weight(-infinity, 2, 1) == 0);
  CHECK(logit_weight(-infinity, 2, 1 / std::numeric_limits<double>::max()) == 0);
  CHECK(logit_weight(0, 1e-45F, SampleSettings::of(1e-310, 0, 1).sharpness) == 0);
  CHECK(logit_weight(-1e30F, 1e30F, SampleSettings::of(1e300, 0, 1).sharpness) == uint64_t{1} << 40U);
  uint64_t before = 0;
  for (int i = 100'000; i >= 0; --i) {
    const float logit = static_cast<float>(i) * -3e-4F;
    const uint64_t weight = logit_weight(logit, 0, 1);
    REQUIRE(std::abs(static_cast<double>(weight) - std::exp(static_cast<double>(logit)) * 0x1p40) <= 0.51);
    REQUIRE(weight >= before);
    before = weight;
  }
}

TEST_CASE("keys keep the order of logits", "[kernels]") {
  const std::vector<float> logits{-infinity, -3e38F, -1, -1e-45F, 0, 1e-45F, 1, 3e38F, infinity};
  for (std::size_t i = 0; i + 1 < logits.size(); ++i) {
    CHECK(logit_key(logits[i]) < logit_key(logits[i + 1]));
    CHECK(key_logit(logit_key(logits[i])) == logits[i]);
  }
  CHECK(logit_key(-0.0F) == logit_key(0.0F));
  CHECK(logit_key(nan_logit) > logit_key(infinity));
  CHECK(logit_key(-nan_logit) > logit_key(infinity));
  CHECK_FALSE(drawable(logit_key(-infinity)));
  CHECK_FALSE(drawable(logit_key(infinity)));
  CHECK(drawable(logit_key(-3e38F)));
}

TEST_CASE("the GPU's blocks, run on the CPU, and every device draw the same tokens", "[kernels][cuda]") {
  for (const int64_t vocabulary : {1, 2, 1031}) {
    Rows rows = Rows::whole(at::randn({24, vocabulary}) * 4);
    rows.logits.slice(0, 0, 24, 3).copy_((rows.logits.slice(0, 0, 24, 3) * 2).round());  // many are equal
    rows.logits.slice(0, 1, 24, 5).masked_fill_(rows.logits.slice(0, 1, 24, 5) < 0, -infinity);
    rows.logits.select(0, 4).fill_(-infinity);
    rows.logits.select(0, 7).select(0, vocabulary / 2).fill_(nan_logit);
    rows.logits.select(0, 8).select(0, vocabulary - 1).fill_(infinity);
    rows.logits.select(0, 9).fill_(-2.5);
    const at::Tensor firsts = at::randint(vocabulary, {12}, at::kLong);
    rows.ranges.slice(0, 12).select(1, 0).copy_(firsts);
    for (const double temperature : {0.0, 0.01, 1.0, 1e300}) {
      for (const int64_t top_k : {0, 1, 40}) {
        for (const double top_p : {1e-9, 0.5, 0.97, 1.0}) {
          CAPTURE(vocabulary, temperature, top_k, top_p);
          const SampleOptions options{temperature, top_k, top_p};
          const at::Tensor expected = rows.drawn(options);
          REQUIRE(identical(drawn_as_a_gpu_would(rows, options, false), expected));
          if (top_p == 0.97) {
            REQUIRE(identical(drawn_as_a_gpu_would(rows, options, true), expected));
          }
          for (const at::Device device : devices()) {
            REQUIRE(identical(rows.drawn(options, device), expected));
          }
          CHECK((expected.slice(0, 12) < firsts).logical_and(expected.slice(0, 12) >= 0).sum().item<int64_t>() == 0);
        }
      }
    }
  }
}

TEST_CASE("a row draws the same alone, among others, and with any number of threads", "[kernels]") {
  const Rows rows = Rows::whole(at::randn({40, 5000}) * 3);
  const SampleOptions options{0.9, 300, 0.95};
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor together = rows.drawn(options);
  at::set_num_threads(3);
  CHECK(identical(rows.drawn(options), together));
  at::set_num_threads(before);
  for (const int64_t row : {0, 17, 39}) {
    const auto only = [row](const at::Tensor& x) { return x.narrow(0, row, 1); };
    const Rows alone{only(rows.logits), only(rows.ranges), only(rows.streams)};
    CHECK(identical(alone.drawn(options), only(together)));
  }
}

TEST_CASE("long rows", "[kernels]") {
  const Rows thrice = Rows::whole(at::randn({2, 70'001}));  // cut into stretches three times
  CHECK(identical(drawn_as_a_gpu_would(thrice, {1, 0, 0.9}, false), thrice.drawn({1, 0, 0.9})));
  at::Tensor logits = at::zeros({1, most_tokens});
  const Rows rows = Rows::whole(logits);
  const auto place =
      static_cast<double>(random_bits(static_cast<uint64_t>(seed), static_cast<uint64_t>(-5), 3)) * 0x1p-64;
  CHECK(rows.drawn({})[0].item<int64_t>() == static_cast<int64_t>(place * most_tokens));
  logits[0][most_tokens - 2] = 1;
  CHECK(rows.drawn({1, 1, 1})[0].item<int64_t>() == most_tokens - 2);
  CHECK_THROWS_WITH(Rows::whole(at::zeros({1, most_tokens + 1})).drawn({}), ContainsSubstring("at most 4194304 ids"));
}

TEST_CASE("a range that holds no id gives -1 on a GPU, which cannot throw", "[kernels]") {
  const std::vector<int64_t> ends{-1, 3, 2, 2, 3, 1, 0, 6, 1, 2};
  const at::Tensor ranges = at::empty({5, 2}, at::kLong);
  std::copy(ends.begin(), ends.end(), ranges.mutable_data_ptr<int64_t>());
  const Rows rows{at::zeros({5, 5}), ranges, at::arange(5)};
  const at::Tensor tokens = drawn_as_a_gpu_would(rows, {}, false);
  CHECK(identical(tokens.narrow(0, 0, 4), at::full({4}, -1, at::kLong)));
  CHECK(tokens[4].item<int64_t>() == 1);
  CHECK_THROWS_WITH(rows.drawn({}), ContainsSubstring("0 <= first < last <= 5; got -1 and 3 in row 0"));
}
