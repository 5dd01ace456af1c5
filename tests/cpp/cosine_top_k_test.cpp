#include "brain2music/kernels/cosine_top_k.h"

#include <ATen/Parallel.h>
#include <ATen/TensorIndexing.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "brain2music/kernels/cosine_top_k_candidates.h"
#include "brain2music/kernels/cosine_top_k_sketch.h"
#include "brain2music/kernels/cosine_top_k_tile.h"
#include "catch.h"
#include "oracle.h"

using namespace brain2music::kernels;

namespace {

/// With and without a sketch on the CPU, and on the GPU where there is one.
std::vector<TopK> every_way(const at::Tensor& queries, const at::Tensor& items, int64_t k) {
  std::vector<TopK> results{cosine_top_k(queries, items, k), cosine_top_k(queries, items, k, cosine_sketch(items))};
  for (const at::Device device : devices()) {
    if (device.is_cuda()) {
      const TopK there = cosine_top_k(queries.to(device), items.to(device), k);
      results.push_back({there.scores.cpu(), there.indices.cpu()});
    }
  }
  return results;
}

/// The CUDA kernels' grids, thread by thread, with their own memory and arithmetic; a loop stands for a barrier, a sort
/// of the keys, no two of which are equal, for at::topk.
TopK top_k_as_a_gpu_would(const at::Tensor& queries, const at::Tensor& items, int64_t k) {
  const int64_t q = queries.size(0);
  const int64_t n = items.size(0);
  const int64_t d = items.size(1);
  const auto norms = [d](const at::Tensor& x) {
    std::vector<double> values;
    for (int64_t row = 0; row < x.size(0); ++row) {
      values.push_back(row_norm(x.const_data_ptr<float>() + row * d, d));
    }
    return values;
  };
  const std::vector<double> query_norms = norms(queries);
  const std::vector<double> item_norms = norms(items);
  std::vector<int64_t> keys(static_cast<std::size_t>(q * n), -1);
  const CosineBlock work{queries.const_data_ptr<float>(),
                         items.const_data_ptr<float>(),
                         query_norms.data(),
                         item_norms.data(),
                         q,
                         n,
                         d,
                         keys.data()};
  for (int64_t block = 0; block * CosineBlock::threads < n; ++block) {
    for (int64_t group = 0; group * CosineBlock::width < q; ++group) {
      CosineBlock::Memory memory;
      for (auto& row : memory.items) {
        row.fill(std::numeric_limits<double>::quiet_NaN());  // never zero by luck
      }
      std::vector<CosineBlock::Sums> sums(CosineBlock::threads);
      for (int64_t first = 0; first < d; first += CosineBlock::chunk) {
        for (int thread = 0; thread < CosineBlock::threads; ++thread) {
          work.load(block, group, first, thread, memory);
        }
        for (int thread = 0; thread < CosineBlock::threads; ++thread) {
          CosineBlock::add(thread, memory, sums[thread]);
        }
      }
      for (int thread = 0; thread < CosineBlock::threads; ++thread) {
        work.store(block, group, thread, sums[thread]);
      }
    }
  }
  TopK best{at::zeros({q, k}), at::zeros({q, k}, at::kLong)};
  for (int64_t query = 0; query < q; ++query) {
    const auto begin = keys.begin() + query * n;
    std::partial_sort(begin, begin + k, begin + n, std::greater<>{});
    for (int64_t i = 0; i < k; ++i) {
      best.scores[query][i] = score_of(begin[i]);
      best.indices[query][i] = row_of(begin[i]);
    }
  }
  return best;
}

/// Items that follow each other in `pattern`, again and again.
at::Tensor repeated(const at::Tensor& pattern, int64_t n) {
  return pattern.index_select(0, at::arange(n).remainder(pattern.size(0)));
}

}  // namespace

TEST_CASE("cosine_top_k equals NumPy's stable argsort of float64 cosines", "[kernels][cuda]") {
  for (const std::string name : {"cosine_wide", "cosine_odd", "cosine_all"}) {
    INFO(name);
    const at::Tensor indices = oracle(name + "_indices");
    for (const TopK& best : every_way(oracle(name + "_queries"), oracle(name + "_items"), indices.size(1))) {
      CHECK(identical(best.indices, indices));
      CHECK(identical(best.scores, oracle(name + "_scores")));
    }
  }
}

TEST_CASE("the GPU's blocks, run on the CPU, equal NumPy too", "[kernels]") {
  for (const std::string name : {"cosine_wide", "cosine_odd", "cosine_all"}) {
    const at::Tensor indices = oracle(name + "_indices");
    const TopK best = top_k_as_a_gpu_would(oracle(name + "_queries"), oracle(name + "_items"), indices.size(1));
    CHECK(identical(best.indices, indices));
    CHECK(identical(best.scores, oracle(name + "_scores")));
  }
}

TEST_CASE("copies of an item have one score wherever they lie, and come in order", "[kernels][cuda]") {
  constexpr int64_t n = 5003;  // not a multiple of a block of items, of a tile or of a GPU's block
  constexpr int64_t k = 40;
  const at::Tensor items = repeated(at::randn({7, 60}), n);
  for (const int64_t q : {1, 60, 300}) {
    const at::Tensor queries = repeated(at::randn({3, 60}), q);
    for (const TopK& best : every_way(queries, items, k)) {
      CHECK(identical(best.scores, best.scores.narrow(1, 0, 1).expand({q, k})));
      const at::Tensor first = best.indices.narrow(1, 0, 1);
      CHECK((first < 7).all().item<bool>());
      CHECK(identical(best.indices, first + 7 * at::arange(k)));
    }
  }
}

TEST_CASE("items too close for the sketch are told apart", "[kernels][cuda]") {
  // Cosines that differ by 1e-6 and less: 16 bits see none of it.
  const at::Tensor items = at::randn({1, 90}) + 1e-5 * at::randn({4000, 90});
  const at::Tensor queries = at::cat({items.narrow(0, 17, 3), at::randn({40, 90})});
  const TopK expected = top_k_as_a_gpu_would(queries, items, 25);
  for (const TopK& best : every_way(queries, items, 25)) {
    CHECK(identical(best.indices, expected.indices));
    CHECK(identical(best.scores, expected.scores));
  }
}

TEST_CASE("lengths of vectors make no difference", "[kernels][cuda]") {
  const at::Tensor items = at::randn({3000, 33});
  const at::Tensor queries = at::randn({5, 33});
  const TopK expected = cosine_top_k(queries, items, 20);
  at::Tensor lengths = at::full({3000, 1}, 0x1p-100);
  lengths.slice(0, 1, 3000, 2).fill_(0x1p+100);
  for (const TopK& best : every_way(queries * 0x1p+90, items * lengths, 20)) {
    CHECK(identical(best.scores, expected.scores));
    CHECK(identical(best.indices, expected.indices));
  }
}

TEST_CASE("the number of threads makes no difference", "[kernels]") {
  const at::Tensor items = repeated(at::randn({3001, 64}), 9000);
  const at::Tensor queries = at::randn({70, 64});
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const TopK one = cosine_top_k(queries, items, 30);
  at::set_num_threads(3);
  const TopK three = cosine_top_k(queries, items, 30);
  at::set_num_threads(before);
  CHECK(identical(one.scores, three.scores));
  CHECK(identical(one.indices, three.indices));
}

TEST_CASE("sketches err by less than is allowed for", "[kernels]") {
  for (const int64_t d : {2, 5, 128, 1024}) {
    INFO(d);
    constexpr int64_t n = 48;
    at::Tensor items = at::randn({n, d});
    items.slice(0, 0, n, 3).sign_();                                               // far out in every direction
    items.slice(0, 1, n, 3).copy_((items.slice(0, 1, n, 3) * 40 + 0.5).floor_());  // few values
    items.slice(1, 0, 1).add_(100);                                                // nearly one direction
    const at::Tensor sketch = cosine_sketch(items);
    const QuerySketch queries(items, 0, n);
    const at::Tensor units = items.to(at::kDouble) / at::linalg_vector_norm(items.to(at::kDouble), 2, {1}, true);
    const at::Tensor exact = units.matmul(units.t()) * sketch_one * sketch_one;
    double worst = 0;
    for (int64_t query = 0; query < n; query += QuerySketch::group) {
      for (int64_t block = 0; block < sketch_blocks(n); ++block) {
        BlockProducts<4> products;
        const std::array<int32_t, 4> floors{std::numeric_limits<int32_t>::min()};  // for all of them to be written
        (void)next_hits<4>(sketch.const_data_ptr<int16_t>() + block * sketch_block_values(d), 1, queries.at(query),
                           sketch_pairs(d), floors.data(), products);
        for (int64_t q = 0; q < 4; ++q) {
          for (int64_t r = 0; r < sketch_rows; ++r) {
            const auto expected = exact[query + q][block * sketch_rows + r].item<double>();
            worst = std::max(worst, std::abs(products[q][r] - expected));
          }
        }
      }
    }
    CHECK(worst <= static_cast<double>(sketch_error(d)));
    CHECK(worst > 0.001 * static_cast<double>(sketch_error(d)));  // and is of that kind
  }
}

template <int width>
void check_next_hits() {
  constexpr int64_t pairs = 37;
  constexpr int64_t blocks = 5;
  const auto values = [](int64_t count) {  // the extremes among them
    at::Tensor random = (at::randn({count}) * 3000).clamp(-32767, 32767).to(at::kShort);
    random.slice(0, 0, count, 5).fill_(32767);
    random.slice(0, 1, count, 7).fill_(-32767);
    return random;
  };
  const at::Tensor items = values(blocks * pairs * sketch_rows * 2);
  const at::Tensor queries = values(pairs * width * 2).div(64, "floor").to(at::kShort);
  const auto* item_values = items.const_data_ptr<int16_t>();
  const auto* query_values = reinterpret_cast<const int32_t*>(queries.const_data_ptr<int16_t>());
  const at::Tensor all =
      items.view({blocks, pairs, sketch_rows, 2}).to(at::kLong).transpose(1, 2).reshape({-1, pairs * 2});
  const at::Tensor exact =
      all.matmul(queries.view({pairs, width, 2}).to(at::kLong).transpose(0, 1).reshape({width, -1}).t());
  for (int q = 0; q < width; ++q) {
    std::array<int32_t, width> floors{};
    floors.fill(std::numeric_limits<int32_t>::max());
    floors[q] = exact.select(1, q).max().item<int32_t>();
    const auto best = exact.select(1, q).argmax().item<int64_t>();
    BlockProducts<width> fast;
    BlockProducts<width> plain;
    const BlockHits hits = next_hits<width>(item_values, blocks, query_values, pairs, floors.data(), fast);
    const BlockHits same = plain_next_hits<width>(item_values, blocks, query_values, pairs, floors.data(), plain);
    CHECK(hits.block == best / sketch_rows);
    CHECK(hits.bits == uint64_t{1} << (sketch_rows * q + best % sketch_rows));
    CHECK(same.block == hits.block);
    CHECK(same.bits == hits.bits);
    CHECK(fast == plain);
    CHECK(fast[q][best % sketch_rows] == floors[q]);
    ++floors[q];
    CHECK(next_hits<width>(item_values, blocks, query_values, pairs, floors.data(), fast).block == blocks);
    CHECK(plain_next_hits<width>(item_values, blocks, query_values, pairs, floors.data(), plain).bits == 0);
  }
}

TEST_CASE("vector instructions and plain C++ give the same products", "[kernels]") {
  check_next_hits<1>();
  check_next_hits<2>();
  check_next_hits<3>();
  check_next_hits<4>();
}

TEST_CASE("keys order scores and rows, and give both back", "[kernels]") {
  const std::vector<float> scores{1, 0.5, std::numeric_limits<float>::denorm_min(), 0, -1e-30F, -0.25, -1};
  int64_t before = std::numeric_limits<int64_t>::max();
  for (const float score : scores) {
    for (const int64_t row : {int64_t{0}, int64_t{1}, (int64_t{1} << 32) - 2}) {
      const int64_t key = rank_key(score, row);
      CHECK(key < before);
      CHECK(score_of(key) == score);
      CHECK(row_of(key) == row);
      before = key;
    }
  }
  CHECK(rank_key(cosine_score(-0.0, 1, 1), 3) == rank_key(0, 3));
}

TEST_CASE("cosine_top_k refuses what it cannot take, whoever calls", "[kernels][cuda]") {
  for (const at::Device device : devices()) {
    const at::Tensor items = at::randn({50, 4}).to(device);
    const at::Tensor queries = at::randn({2, 4}).to(device);
    CHECK_THROWS_WITH(cosine_top_k(queries, items, 0),
                      ContainsSubstring("between 1 and the number of items, 50; got 0"));
    CHECK_THROWS_WITH(cosine_top_k(queries, items, 51), ContainsSubstring("got 51"));
    CHECK_THROWS_WITH(cosine_top_k(queries.slice(1, 0, 3), items, 1),
                      ContainsSubstring("got shapes [2, 3] and [50, 4]"));
    CHECK_THROWS_WITH(cosine_top_k(queries[0], items, 1), ContainsSubstring("(rows, dimensions); got shape [4]"));
    CHECK_THROWS_WITH(cosine_top_k(queries.to(at::kDouble), items, 1), ContainsSubstring("queries must be float32"));
    CHECK_THROWS_WITH(cosine_top_k(queries, items.to(at::kHalf), 1),
                      ContainsSubstring("items must be float32; got Half"));
    for (const float value : {0.0F, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      for (const int64_t k : {1, 50}) {
        at::Tensor bad = items.clone();
        bad[17].fill_(value);
        bad[31].fill_(value);
        CHECK_THROWS_WITH(
            cosine_top_k(queries, bad, k),
            ContainsSubstring("every row of items must be finite and not all zero; got otherwise in row 17"));
        CHECK_THROWS_WITH(cosine_top_k(bad, items, k),
                          ContainsSubstring("every row of queries") && ContainsSubstring("in row 17"));
      }
    }
    CHECK(cosine_top_k(queries.narrow(0, 0, 0), items, 3).scores.sizes() == at::IntArrayRef({0, 3}));
  }
  const at::Tensor items = at::randn({50, 4});
  CHECK_THROWS_WITH(cosine_top_k(items, items, 1, cosine_sketch(items.narrow(0, 0, 48))),
                    ContainsSubstring("must be the cosine_sketch of the items; got Short of shape [3, 2, 16, 2]"));
  CHECK_THROWS_WITH(cosine_sketch(at::zeros({3, 4})), ContainsSubstring("in row 0"));
}
