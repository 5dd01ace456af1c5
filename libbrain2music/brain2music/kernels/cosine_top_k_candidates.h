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

/// Keeps the candidates that the k best may hide among; drops the others, in any order. At least k stay, if k there
/// are.
/// @return what the product of a candidate must not fall below from here on.
int32_t keep_possible(std::vector<Candidate>& candidates, int64_t k, int64_t error);

class Candidates {
 public:
  /// @param first number of the first of `queries` queries, as `scorer` counts them.
  /// @param error sketch_error(d).
  Candidates(const ExactScorer& scorer, int64_t first, int64_t queries, int64_t k, int64_t error);

  /// Floors of this query and those after it.
  const int32_t* floors(int64_t query) const { return floors_.data() + query; }

  /// Takes an item whose product is not below the query's floor.
  void add(int64_t query, int32_t product, int64_t row) {
    auto& found = found_[static_cast<std::size_t>(query)];
    found.push_back({product, static_cast<uint32_t>(row)});
    if (found.size() >= capacity_) [[unlikely]] {
      shrink(query);
    }
  }

  std::span<const Candidate> of(int64_t query) const { return found_[static_cast<std::size_t>(query)]; }

 private:
  void shrink(int64_t query);

  ExactScorer scorer_;
  int64_t first_;
  int64_t k_;
  int64_t error_;
  std::size_t capacity_;
  std::vector<int32_t> floors_;
  std::vector<std::vector<Candidate>> found_;
};

}  // namespace brain2music::kernels
