#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <list>
#include <mutex>
#include <vector>

#include "brain2music/kernels/cosine_top_k_body.h"
#include "brain2music/kernels/cosine_top_k_candidates.h"
#include "brain2music/kernels/cosine_top_k_impl.h"
#include "brain2music/kernels/cosine_top_k_sketch.h"

namespace brain2music::kernels {
namespace {

constexpr int64_t tile_bytes = 16 * 1024;    // of sketched items: half a first-level cache
constexpr int64_t panel_bytes = 128 * 1024;  // of sketched queries: a quarter of a second-level cache
constexpr int64_t found_bytes = 64 << 20;    // of candidates, per thread
constexpr int64_t blocks_per_thread = 64;    // at least
constexpr int64_t share_scored = 8;          // all items are scored when k is more than one in so many

struct Search {
  const at::Tensor& queries;
  const at::Tensor& items;
  const int16_t* sketch;  // or null
  int64_t n;
  int64_t d;
  int64_t k;
  ExactScorer scorer;
  float* scores;
  int64_t* indices;

  /// Writes what the greatest keys say, in order.
  void write(int64_t query, std::vector<int64_t>& keys) const {
    const auto kth = keys.begin() + k;
    std::partial_sort(keys.begin(), kth, keys.end(), std::greater<>{});
    for (int64_t i = 0; i < k; ++i) {
      scores[query * k + i] = score_of(keys[i]);
      indices[query * k + i] = row_of(keys[i]);
    }
  }
};

/// Blocks [first, last) of the sketch, and the `width` queries of a group, from number `query` of the panel on.
struct Tile {
  const int16_t* values;
  int64_t first;
  int64_t last;
  const int32_t* group;
  int64_t query;
};

/// Offers a tile's products to the candidates of its queries.
template <int width>
void scan_tile(const Search& search, const Tile& tile, Candidates& found) {
  const int64_t values = sketch_block_values(search.d);
  const int64_t pairs = sketch_pairs(search.d);
  const int32_t* floors = found.floors(tile.query);
  BlockProducts<width> products;
  for (int64_t block = tile.first; block < tile.last; ++block) {
    auto [skipped, bits] = next_hits<width>(tile.values + (block - tile.first) * values, tile.last - block, tile.group,
                                            pairs, floors, products);
    block += skipped;
    for (; bits != 0; bits &= bits - 1) {
      const int64_t q = std::countr_zero(bits) / sketch_rows;
      const int64_t row = block * sketch_rows + std::countr_zero(bits) % sketch_rows;
      const int32_t product = products[q][row % sketch_rows];
      if (product >= floors[q] && row < search.n) {  // the floor may have risen
        found.add(tile.query + q, product, row);
      }
    }
  }
}

using ScanTile = void(const Search&, const Tile&, Candidates&);
constexpr std::array<ScanTile*, QuerySketch::group> scan_tile_of_width{scan_tile<1>, scan_tile<2>, scan_tile<3>,
                                                                       scan_tile<4>};

/// Screens blocks [first, last) for a panel of queries, tile by tile.
void scan(const Search& search, const QuerySketch& panel, int64_t queries, int64_t first, int64_t last,
          Candidates& found, FirstBadRow& bad) {
  const int64_t values = sketch_block_values(search.d);
  const int64_t tile = std::max<int64_t>(1, tile_bytes / (values * static_cast<int64_t>(sizeof(int16_t))));
  std::vector<int16_t> made(search.sketch == nullptr ? static_cast<std::size_t>(tile * values) : 0);
  for (int64_t begin = first; begin < last; begin += tile) {
    const int64_t end = std::min(begin + tile, last);
    const int16_t* blocks = made.data();
    if (search.sketch != nullptr) {
      blocks = search.sketch + begin * values;
    } else {
      write_sketch(search.items, begin, end, made.data(), bad);
      if (bad.any()) {  // the search will throw
        return;
      }
    }
    for (int64_t query = 0; query < queries; query += QuerySketch::group) {
      const int64_t width = std::min(QuerySketch::group, queries - query);
      scan_tile_of_width[width - 1](search, {blocks, begin, end, panel.at(query), query}, found);
    }
  }
}

/// Scores what is left of all threads' candidates and writes the best.
void settle(const Search& search, int64_t first, int64_t queries, int64_t error, std::list<Candidates>& parts) {
  at::parallel_for(0, queries, 8, [&](int64_t begin, int64_t end) {
    std::vector<Candidate> candidates;
    std::vector<int64_t> keys;
    for (int64_t query = begin; query < end; ++query) {
      candidates.clear();
      for (Candidates& part : parts) {
        const auto found = part.of(query);
        candidates.insert(candidates.end(), found.begin(), found.end());
      }
      keys.clear();
      for (const Candidate& candidate : keep_possible(candidates, search.k, error).candidates) {
        keys.push_back(search.scorer.key(first + query, candidate.row));
      }
      search.write(first + query, keys);
    }
  });
}

void screen_all(const Search& search) {
  const int64_t error = sketch_error(search.d);
  const int64_t query_bytes = sketch_pairs(search.d) * 4;
  const int64_t candidate_bytes = Candidates::capacity(search.k) * static_cast<int64_t>(sizeof(Candidate));
  const int64_t groups = std::min(panel_bytes / query_bytes, found_bytes / candidate_bytes) / QuerySketch::group;
  const int64_t most = std::max<int64_t>(1, groups) * QuerySketch::group;
  for (int64_t first = 0; first < search.queries.size(0); first += most) {
    const int64_t queries = std::min(most, search.queries.size(0) - first);
    const QuerySketch panel(search.queries, first, first + queries);
    FirstBadRow bad;
    std::mutex lock;
    std::list<Candidates> parts;  // in any order: the keys decide
    at::parallel_for(0, sketch_blocks(search.n), blocks_per_thread, [&](int64_t begin, int64_t end) {
      Candidates found(search.scorer, first, queries, search.k, error);
      scan(search, panel, queries, begin, end, found, bad);
      const std::scoped_lock guard(lock);
      parts.push_back(std::move(found));
    });
    bad.check("items");
    settle(search, first, queries, error, parts);
  }
}

void score_all(const Search& search) {
  std::vector<double> norms(static_cast<std::size_t>(search.n));
  FirstBadRow bad;
  at::parallel_for(0, search.n, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      norms[row] = row_norm(search.scorer.items + row * search.d, search.d);
      if (!has_direction(norms[row])) {
        bad.report(row);
      }
    }
  });
  bad.check("items");
  std::vector<int64_t> keys(static_cast<std::size_t>(search.n));
  for (int64_t query = 0; query < search.queries.size(0); ++query) {
    const float* direction = search.scorer.queries + query * search.d;
    at::parallel_for(0, search.n, 1024, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const double product = product_sum(search.scorer.items + row * search.d, direction, search.d);
        keys[row] = rank_key(cosine_score(product, norms[row], search.scorer.query_norms[query]), row);
      }
    });
    search.write(query, keys);
  }
}

}  // namespace

ScoresAndIndices cosine_top_k_cpu(const at::Tensor& queries, const at::Tensor& items, int64_t k,
                                  const std::optional<at::Tensor>& sketch) {
  const int64_t q = queries.size(0);
  const int64_t d = queries.size(1);
  at::Tensor scores = at::empty({q, k}, queries.options());
  at::Tensor indices = at::empty({q, k}, queries.options().dtype(at::kLong));
  std::vector<double> norms(static_cast<std::size_t>(q));
  FirstBadRow bad;
  for (int64_t query = 0; query < q; ++query) {
    norms[query] = row_norm(queries.const_data_ptr<float>() + query * d, d);
    if (!has_direction(norms[query])) {
      bad.report(query);
    }
  }
  bad.check("queries");
  const Search search{queries,
                      items,
                      sketch ? sketch->const_data_ptr<int16_t>() : nullptr,
                      items.size(0),
                      d,
                      k,
                      {queries.const_data_ptr<float>(), norms.data(), items.const_data_ptr<float>(), d},
                      scores.mutable_data_ptr<float>(),
                      indices.mutable_data_ptr<int64_t>()};
  if (k > search.n / share_scored) {
    score_all(search);
  } else {
    screen_all(search);
  }
  return {scores, indices};
}

}  // namespace brain2music::kernels
