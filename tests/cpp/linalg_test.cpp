#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/Version.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

#include "brain2music/kernels/attend.h"
#include "brain2music/kernels/rms_norm.h"
#include "brain2music/linalg/crew.h"
#include "brain2music/linalg/packed_linear.h"
#include "brain2music/linalg/packed_tile.h"
#include "brain2music/linalg/packed_weights.h"
#include "catch.h"
#include "wide_tiles.h"

using namespace brain2music::linalg;  // NOLINT(google-build-using-namespace)
using brain2music::kernels::attend;

namespace {

const std::vector<at::ScalarType> types{at::kFloat, at::kBFloat16, at::kHalf, at::kChar};

at::Tensor product(const at::Tensor& x, const PackedWeights& packed, int64_t outputs,
                   const std::optional<at::Tensor>& bias = std::nullopt) {
  return packed_linear(x, packed.values, packed.scale, bias, outputs);
}

/// x as int8 weights are multiplied with it: in 16 bits, where a row's largest number becomes 32767.
at::Tensor whole(const at::Tensor& x) {
  const at::Tensor most = std::get<0>(x.abs().max(-1, true));
  return (x * (32767 / most)).round().to(at::kDouble) * (most.to(at::kDouble) / 32767);
}

bool identical(const at::Tensor& a, const at::Tensor& b) { return at::equal(a, b); }

}  // namespace

TEST_CASE("packed products are those of the weights that packing kept", "[linalg]") {
  struct Shape {
    int64_t rows, outputs, features;
  };
  // Whole blocks and rests; every height of a tile; one piece of features, and more; more than one thread's share.
  const auto shapes = std::vector<Shape>{{1, 1, 1},      {2, 16, 16},   {3, 17, 17},   {4, 15, 255}, {5, 64, 256},
                                         {6, 100, 257},  {7, 33, 300},  {8, 48, 511},  {13, 80, 64}, {40, 31, 513},
                                         {1, 2000, 600}, {9, 2, 70000}, {12, 50, 1024}};
  for (const at::ScalarType dtype : types) {
    for (const auto& [rows, outputs, features] : shapes) {
      INFO(dtype << ", " << rows << " rows, " << outputs << " outputs, " << features << " features");
      const at::Tensor x = at::randn({rows, features});
      const at::Tensor weight = at::randn({outputs, features});
      const at::Tensor bias = at::randn({outputs});
      const PackedWeights packed = pack(weight, dtype);
      const at::Tensor y = product(x, packed, outputs, bias);
      const at::Tensor kept = unpacked(packed, outputs, features);
      const at::Tensor multiplied = dtype == at::kChar ? whole(x) : x.to(at::kDouble);
      const at::Tensor exact = at::linear(multiplied, kept.to(at::kDouble), bias.to(at::kDouble));
      CHECK(at::allclose(y.to(at::kDouble), exact, 1e-5, 3e-6 * std::sqrt(static_cast<double>(features))));
      for (int64_t row = 0; row < rows; ++row) {
        CHECK(identical(product(x.narrow(0, row, 1), packed, outputs, bias), y.narrow(0, row, 1)));
      }
      const int threads = at::get_num_threads();
      at::set_num_threads(1);
      CHECK(identical(product(x, packed, outputs, bias), y));
      at::set_num_threads(threads);
    }
  }
}

TEST_CASE("vectors of 8 and of 16 numbers give the same bits", "[linalg]") {
  constexpr int64_t outputs = 100;
  constexpr int64_t features = 700;
  const at::Tensor weight = at::randn({outputs, features});
  std::vector<PackedKernel> kernels{packed_product_wide};
  const bool has_avx512 = std::string_view(at::get_cpu_capability()) == "AVX512";
#if defined(__x86_64__)
  if (has_avx512) {
    kernels.push_back(packed_product_avx512);
  }
#endif
  for (std::size_t kind = 0; kind < types.size(); ++kind) {
    const PackedWeights packed = pack(weight, types[kind]);
    for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 24, 31}) {
      const at::Tensor x = at::randn({rows, features});
      const at::Tensor whole_x = (x * 5000).clamp(-32767, 32767).to(at::kShort);
      const at::Tensor unit = at::rand({rows});
      const auto computed = [&](PackedKernel kernel) {
        at::Tensor y = at::full({rows, outputs}, std::numeric_limits<float>::quiet_NaN());
        const PackedProduct task{x.const_data_ptr<float>(),
                                 whole_x.const_data_ptr<int16_t>(),
                                 features,
                                 unit.const_data_ptr<float>(),
                                 packed.values.const_data_ptr(),
                                 packed.scale ? packed.scale->const_data_ptr<float>() : nullptr,
                                 nullptr,
                                 y.mutable_data_ptr<float>(),
                                 rows,
                                 features,
                                 outputs,
                                 static_cast<Stored>(kind)};
        kernel(task, 0, 3);
        kernel(task, 3, packed.values.size(0));
        return y;
      };
      const at::Tensor narrow = computed(packed_product);
      for (const PackedKernel kernel : kernels) {
        INFO(types[kind] << ", " << rows << " rows");
        CHECK(identical(computed(kernel), narrow));
      }
    }
  }
}

TEST_CASE("int8 weights take rows of any size, zeros and what is not finite", "[linalg]") {
  const PackedWeights packed = pack(at::randn({20, 37}), at::kChar);
  const at::Tensor x = at::randn({6, 37});
  const at::Tensor y = product(x, packed, 20);
  for (const double size : {1e-30, 1e-3, 1e30}) {
    // A number near the middle of two units may become the other one: a unit here is 1e-4, a weight at most 4.
    CHECK(at::allclose(product(x * size, packed, 20) / size, y, 1e-4, 1e-3));
  }
  at::Tensor odd = x.clone();
  odd[1].zero_();
  odd[2][36] = std::numeric_limits<float>::quiet_NaN();
  odd[3][0] = -std::numeric_limits<float>::infinity();
  odd[4].fill_(1e-40F);  // less than float32 holds to its precision
  const at::Tensor found = product(odd, packed, 20);
  CHECK(identical(found[0], y[0]));
  CHECK(identical(found[1], at::zeros({20})));
  CHECK(found[2].isnan().all().item<bool>());
  CHECK(found[3].isnan().all().item<bool>());
  CHECK(found[4].abs().max().item<float>() < 1e-37F);
  CHECK(identical(found[5], y[5]));
}

TEST_CASE("packing rounds as LibTorch does, and int8 by the largest weight of an output", "[linalg]") {
  const at::Tensor weight = at::randn({21, 37});
  CHECK(identical(unpacked(pack(weight, at::kFloat), 21, 37), weight));
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    CHECK(identical(unpacked(pack(weight, dtype), 21, 37), weight.to(dtype).to(at::kFloat)));
  }
  CHECK(identical(unpacked(pack(weight.t(), at::kFloat), 37, 21), weight.t()));
  CHECK(identical(unpacked(pack(weight.to(at::kBFloat16), at::kBFloat16), 21, 37),
                  weight.to(at::kBFloat16).to(at::kFloat)));
  at::Tensor rows = at::zeros({3, 4});
  rows[0].copy_(at::tensor({127.0F, -127.0F, 0.4F, 0.6F}));
  rows[1].copy_(at::tensor({0.5F, 0.25F, -0.5F, 0.0F}));
  const PackedWeights packed = pack(rows, at::kChar);
  CHECK(at::allclose(*packed.scale, at::tensor({1.0F, 0.5F / 127, 0.0F})));
  const at::Tensor kept = unpacked(packed, 3, 4);
  CHECK(identical(kept[0], at::tensor({127.0F, -127.0F, 0.0F, 1.0F})));
  CHECK(at::allclose(kept[1], at::tensor({0.5F, 64 * 0.5F / 127, -0.5F, 0.0F})));
  CHECK(identical(kept[2], at::zeros({4})));
  CHECK_THROWS_WITH(pack(weight, at::kDouble), Catch::Contains("[linalg.pack] dtype must be"));
  CHECK_THROWS_WITH(pack(weight[0], at::kFloat), Catch::Contains("must be a matrix"));
  CHECK_THROWS_WITH(pack(at::full({2, 2}, std::nan("")), at::kChar), Catch::Contains("finite"));
}

TEST_CASE("packed_linear takes rows of any shape, and refuses what does not fit", "[linalg]") {
  const at::Tensor x = at::randn({2, 3, 20});
  const PackedWeights packed = pack(at::randn({4, 20}), at::kFloat);
  const at::Tensor y = product(x, packed, 4);
  CHECK(y.sizes() == at::IntArrayRef({2, 3, 4}));
  CHECK(product(x[0][0], packed, 4).sizes() == at::IntArrayRef({4}));
  CHECK(identical(product(x.transpose(0, 1), packed, 4), y.transpose(0, 1)));
  CHECK(product(x.narrow(0, 0, 0), packed, 4).sizes() == at::IntArrayRef({0, 3, 4}));
  const PackedWeights none = pack(at::zeros({4, 0}), at::kFloat);
  CHECK(identical(product(at::zeros({2, 0}), none, 4, at::full({4}, 2.0)), at::full({2, 4}, 2.0)));
  const at::Tensor meta = packed_linear(x.to(at::kMeta), packed.values.to(at::kMeta), std::nullopt, std::nullopt, 4);
  CHECK((meta.is_meta() && meta.sizes() == y.sizes()));
  CHECK_THROWS_WITH(product(at::randn({2, 21}), packed, 4), Catch::Contains("[linalg.packed_linear] values must be"));
  CHECK_THROWS_WITH(product(x, packed, 40), Catch::Contains("for 40 outputs"));
  CHECK_THROWS_WITH(product(x, packed, 4, at::randn({3})), Catch::Contains("scale and bias must be"));
  CHECK_THROWS_WITH(product(x.to(at::kDouble), packed, 4), Catch::Contains("x must be float32"));
  const PackedWeights whole = pack(at::randn({4, 20}), at::kChar);
  CHECK_THROWS_WITH(packed_linear(x, whole.values, std::nullopt, std::nullopt, 4),
                    Catch::Contains("int8 values must have a scale; got none"));
}

TEST_CASE("one query attends as LibTorch's attention does", "[kernels]") {
  struct Shape {
    int64_t batch, heads, key_heads, keys, size;
  };
  for (const auto& [batch, heads, key_heads, keys, size] :
       std::vector<Shape>{{1, 1, 1, 1, 1}, {2, 3, 3, 5, 7}, {1, 4, 2, 9, 64}, {3, 2, 2, 100, 128}, {1, 8, 8, 43, 80}}) {
    INFO(heads << " heads, " << keys << " keys of " << size);
    const at::Tensor query = at::randn({batch, heads, 1, size});
    const at::Tensor key = at::randn({batch, key_heads, keys, size}) * 3;
    const at::Tensor value = at::randn({batch, key_heads, keys, size});
    const at::Tensor hidden = at::randn({1, keys}).gt(0.5).index_fill_(1, at::tensor({0L}), 0);
    const at::Tensor added = at::randn({1, keys}).masked_fill(hidden, -std::numeric_limits<float>::infinity());
    const bool gqa = heads != key_heads;
    for (const auto& mask : std::vector<std::optional<at::Tensor>>{std::nullopt, added, hidden.logical_not(),
                                                                   added.expand({batch, heads, 1, keys})}) {
      const at::Tensor found = attend(query, key, value, mask, 0.3, gqa);
      const auto exact = [](const at::Tensor& x) { return x.to(at::kDouble); };
      const std::optional<at::Tensor> wide =
          mask && mask->scalar_type() == at::kFloat ? std::optional(exact(*mask)) : mask;
      const at::Tensor expected =
          at::scaled_dot_product_attention(exact(query), exact(key), exact(value), wide, 0.0, false, 0.3, gqa);
      CHECK(at::allclose(exact(found), expected, 2e-5, 2e-5));  // scores of 30 are rounded to 2e-6
      if (batch > 1) {
        const auto row = [](const at::Tensor& x) { return x.narrow(0, 1, 1); };
        const std::optional<at::Tensor> of_row = mask && mask->dim() == 4 ? std::optional(row(*mask)) : mask;
        CHECK(identical(attend(row(query), row(key), row(value), of_row, 0.3, gqa), row(found)));
      }
    }
    const at::Tensor apart = at::randn({batch, key_heads, size, keys}).transpose(2, 3);
    CHECK(identical(attend(query, apart, value, std::nullopt, std::nullopt, gqa),
                    attend(query, apart.contiguous(), value, std::nullopt, std::nullopt, gqa)));
  }
}

TEST_CASE("rows over their root mean square", "[kernels]") {
  for (const int64_t size : {1, 7, 16, 33, 1024}) {
    const at::Tensor x = at::randn({3, 2, size}) * 5;
    const at::Tensor weight = at::randn({size});
    const at::Tensor found = brain2music::kernels::rms_norm(x, {size}, weight, 1e-5);
    const at::Tensor expected = at::rms_norm(x.to(at::kDouble), {size}, weight.to(at::kDouble), 1e-5);
    CHECK(at::allclose(found.to(at::kDouble), expected, 1e-5, 1e-6));
    CHECK(identical(brain2music::kernels::rms_norm(x[1], {size}, weight, 1e-5), found[1]));
    CHECK(at::allclose(brain2music::kernels::rms_norm(x, {size}), at::rms_norm(x, {size}), 1e-5, 1e-6));
    CHECK(identical(brain2music::kernels::rms_norm(x.to(at::kBFloat16), {size}),
                    at::rms_norm(x.to(at::kBFloat16), {size})));
  }
  const at::Tensor x = at::randn({4, 6});
  CHECK(identical(brain2music::kernels::rms_norm(x, {4, 6}), at::rms_norm(x, {4, 6})));
  CHECK(identical(brain2music::kernels::rms_norm(x.t(), {4}), at::rms_norm(x.t(), {4})));
  CHECK_THROWS(brain2music::kernels::rms_norm(x, {5}));
}

TEST_CASE("hidden keys are not read, and everything else is LibTorch's", "[kernels]") {
  const at::Tensor query = at::randn({1, 2, 1, 16});
  at::Tensor key = at::randn({1, 2, 6, 16});
  at::Tensor value = at::randn({1, 2, 6, 16});
  at::Tensor mask = at::zeros({1, 6});
  mask.narrow(1, 4, 2).fill_(-std::numeric_limits<float>::infinity());
  const at::Tensor expected = attend(query, key.narrow(2, 0, 4), value.narrow(2, 0, 4));
  key.narrow(2, 4, 2).fill_(std::nan(""));
  value.narrow(2, 4, 2).fill_(std::nan(""));
  CHECK(identical(attend(query, key, value, mask), expected));
  CHECK(identical(attend(query, key, value, at::full({1, 6}, -std::numeric_limits<float>::infinity())),
                  at::zeros({1, 2, 1, 16})));
  const at::Tensor several = at::randn({1, 2, 3, 16});
  const at::Tensor keys = at::randn({1, 2, 6, 16});
  CHECK(identical(attend(several, keys, keys), at::scaled_dot_product_attention(several, keys, keys)));
  const auto wide = [](const at::Tensor& x) { return x.to(at::kDouble); };
  CHECK(identical(attend(wide(query), wide(keys), wide(keys)),
                  at::scaled_dot_product_attention(wide(query), wide(keys), wide(keys))));
  CHECK_THROWS(attend(query, at::randn({1, 2, 6, 17}), keys));
}

TEST_CASE("every chunk is done once, whoever asks", "[linalg]") {
  const auto done_once = [](int64_t chunks) {
    std::vector<std::atomic<int>> done(static_cast<std::size_t>(chunks));
    share_out(chunks, [&](int64_t chunk) { ++done[static_cast<std::size_t>(chunk)]; });
    return std::ranges::all_of(done, [](const auto& each) { return each == 1; });
  };
  for (int call = 0; call < 300; ++call) {
    REQUIRE(done_once(call % 7 == 0 ? 1000 : call % 7));
  }
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int call = 0; call < 200; ++call) {
        wrong += done_once(5) ? 0 : 1;
      }
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  CHECK(wrong == 0);
  std::atomic<int> inner = 0;
  share_out(4, [&](int64_t) { share_out(3, [&](int64_t) { ++inner; }); });
  CHECK(inner == 12);
  // Threads do not live on in a fork.
  const pid_t child = fork();
  if (child == 0) {
    _exit(done_once(100) ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
}
