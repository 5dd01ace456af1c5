#include "brain2music/kernels/cosine_top_k_candidates.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

#include "brain2music/kernels/cosine_top_k_body.h"
#include "brain2music/kernels/cosine_top_k_sketch.h"

namespace brain2music::kernels {
namespace {

constexpr int32_t no_floor = std::numeric_limits<int32_t>::min();

}  // namespace

int64_t ExactScorer::key(int64_t query, int64_t row) const {
  const float* item = items + row * d;
  const double product = product_sum(item, queries + query * d, d);
  return rank_key(cosine_score(product, row_norm(item, d), query_norms[query]), row);
}

int32_t keep_possible(std::vector<Candidate>& candidates, int64_t k, int64_t error) {
  if (std::ssize(candidates) < k) {
    return no_floor;
  }
  // k items have products of at least the k-th greatest, so cosines of at least that less the error; what is among the
  // best has no smaller cosine, so a product at most another error below.
  const auto kth = candidates.begin() + (k - 1);
  std::ranges::nth_element(candidates, kth, std::greater<>{}, &Candidate::product);
  const auto floor = static_cast<int32_t>(kth->product - 2 * error);
  std::erase_if(candidates, [floor](const Candidate& candidate) { return candidate.product < floor; });
  return floor;
}

Candidates::Candidates(const ExactScorer& scorer, int64_t first, int64_t queries, int64_t k, int64_t error)
    : scorer_(scorer),
      first_(first),
      k_(k),
      error_(error),
      capacity_(static_cast<std::size_t>(2 * k + 64)),
      floors_(static_cast<std::size_t>(queries), no_floor),
      found_(static_cast<std::size_t>(queries)) {
  for (auto& found : found_) {
    found.reserve(capacity_);
  }
}

void Candidates::shrink(int64_t query) {
  auto& found = found_[static_cast<std::size_t>(query)];
  int32_t& floor = floors_[static_cast<std::size_t>(query)];
  floor = std::max(floor, keep_possible(found, k_, error_));
  if (found.size() <= capacity_ - capacity_ / 4) {
    return;
  }
  // Many items that the sketches cannot tell apart, such as copies of one: their scores can.
  std::vector<std::pair<int64_t, int32_t>> ranked;
  ranked.reserve(found.size());
  for (const Candidate& candidate : found) {
    ranked.emplace_back(scorer_.key(first_ + query, candidate.row), candidate.product);
  }
  const auto kth = ranked.begin() + (k_ - 1);
  std::ranges::nth_element(ranked, kth, std::greater<>{});
  const double score = std::max(-1.0F, score_of(kth->first));
  floor =
      std::max(floor, static_cast<int32_t>(std::floor(score * sketch_one * sketch_one)) - static_cast<int32_t>(error_));
  found.clear();
  for (auto best = ranked.begin(); best <= kth; ++best) {
    found.push_back({best->second, static_cast<uint32_t>(row_of(best->first))});
  }
}

}  // namespace brain2music::kernels
