#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// What one thread has found so far: for each query the items that may still be among its k best.
namespace brain2music::kernels {

struct Candidate {
  int32_t product;  // of the sketches
  uint32_t row;
};

/// The vectors themselves, to score what the sketches leave open.
struct ExactScorer {
  const float* queries;
  const double* query_norms;
  const float* items;
  int64_t d;

  /// rank_key of the cosine of a query and an item.
  int64_t key(int64_t query, int64_t row) const;
};

/// Candidates that the k best are among; what the product of another must not fall below.
struct Possible {
  std::span<Candidate> candidates;
  int32_t floor;
};

/// Brings the candidates to the front that the k best may hide among, in any order; at least k, if k there are.
Possible keep_possible(std::span<Candidate> candidates, int64_t k, int64_t error);

class Candidates {
 public:
  /// For `queries` queries, the first of which is number `first` to the scorer; `error` is sketch_error(d).
  Candidates(const ExactScorer& scorer, int64_t first, int64_t queries, int64_t k, int64_t error);

  /// Candidates of a query at most.
  static int64_t capacity(int64_t k) { return 2 * k + 64; }

  /// Floors of this query and those after it.
  const int32_t* floors(int64_t query) const { return floors_.data() + query; }

  /// Takes an item whose product is not below the query's floor.
  void add(int64_t query, int32_t product, int64_t row) {
    int64_t& count = counts_[query];
    found_[query * capacity_ + count] = {product, static_cast<uint32_t>(row)};
    if (++count == capacity_) [[unlikely]] {
      shrink(query);
    }
  }

  std::span<Candidate> of(int64_t query) {
    return std::span(found_).subspan(query * capacity_, static_cast<std::size_t>(counts_[query]));
  }

 private:
  void shrink(int64_t query);

  ExactScorer scorer_;
  int64_t first_;
  int64_t k_;
  int64_t error_;
  int64_t capacity_;
  std::vector<int32_t> floors_;
  std::vector<int64_t> counts_;
  std::vector<Candidate> found_;  // (queries, capacity)
};

}  // namespace brain2music::kernels
