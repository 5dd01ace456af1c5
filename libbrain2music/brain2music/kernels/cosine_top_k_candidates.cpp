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
  ProductSum product;
  ProductSum square;
  product.add(item, 1, queries + query * d, d);
  square.add(item, 1, item, d);
  return rank_key(cosine_score(product.total(), sqrt(square.total()), query_norms[query]), row);
}

Possible keep_possible(std::span<Candidate> candidates, int64_t k, int64_t error) {
  if (std::ssize(candidates) < k) {
    return {candidates, no_floor};
  }
  // k items have products of at least the k-th greatest, so cosines of at least that less the error; what is among the
  // best has no smaller cosine, so a product at most another error below.
  const auto kth = candidates.begin() + (k - 1);
  std::ranges::nth_element(candidates, kth, std::greater<>{}, &Candidate::product);
  const auto floor = static_cast<int32_t>(kth->product - 2 * error);
  const auto impossible =
      std::partition(kth, candidates.end(), [floor](const Candidate& candidate) { return candidate.product >= floor; });
  return {{candidates.begin(), impossible}, floor};
}

Candidates::Candidates(const ExactScorer& scorer, int64_t first, int64_t queries, int64_t k, int64_t error)
    : scorer_(scorer),
      first_(first),
      k_(k),
      error_(error),
      capacity_(capacity(k)),
      floors_(static_cast<std::size_t>(queries), no_floor),
      counts_(static_cast<std::size_t>(queries), 0),
      found_(static_cast<std::size_t>(queries * capacity_)) {}

void Candidates::shrink(int64_t query) {
  const Possible possible = keep_possible(of(query), k_, error_);
  int32_t& floor = floors_[query];
  floor = std::max(floor, possible.floor);
  counts_[query] = std::ssize(possible.candidates);
  if (counts_[query] <= capacity_ - capacity_ / 4) {
    return;
  }
  // Many items that the sketches cannot tell apart, such as copies of one: their scores can.
  std::vector<std::pair<int64_t, int32_t>> ranked;
  ranked.reserve(possible.candidates.size());
  for (const Candidate& candidate : possible.candidates) {
    ranked.emplace_back(scorer_.key(first_ + query, candidate.row), candidate.product);
  }
  const auto kth = ranked.begin() + (k_ - 1);
  std::ranges::nth_element(ranked, kth, std::greater<>{});
  const double score = std::max(-1.0F, score_of(kth->first));
  floor =
      std::max(floor, static_cast<int32_t>(std::floor(score * sketch_one * sketch_one) - static_cast<double>(error_)));
  for (int64_t i = 0; i < k_; ++i) {
    possible.candidates[i] = {ranked[i].second, static_cast<uint32_t>(row_of(ranked[i].first))};
  }
  counts_[query] = k_;
}

}  // namespace brain2music::kernels
