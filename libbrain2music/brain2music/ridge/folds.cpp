#include "brain2music/ridge/folds.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "brain2music/check.h"
#include "brain2music/ridge/neighbours.h"

namespace brain2music::ridge {
namespace {

at::Tensor indices(const std::vector<int64_t>& rows) { return at::tensor(rows, at::kLong); }

}  // namespace

Folds k_folds(int64_t rows, int64_t folds) {
  require(folds >= 2 && folds <= rows, "ridge.k_folds", "there must be two folds or more and no more than rows; got ",
          folds, " folds of ", rows, " rows");
  Folds result{rows, {}};
  int64_t first = 0;
  for (int64_t fold = 0; fold < folds; ++fold) {
    const int64_t length = rows / folds + (fold < rows % folds ? 1 : 0);
    result.held_out.push_back(at::arange(first, first + length, at::kLong));
    first += length;
  }
  return result;
}

Folds group_folds(at::IntArrayRef groups, int64_t folds) {
  std::unordered_map<int64_t, std::size_t> number;  // of each group, in order of appearance
  std::vector<std::vector<int64_t>> members;
  for (std::size_t row = 0; row < groups.size(); ++row) {
    const auto place = number.try_emplace(groups[row], members.size()).first;
    if (place->second == members.size()) {
      members.emplace_back();
    }
    members[place->second].push_back(static_cast<int64_t>(row));
  }
  require(folds >= 2 && std::cmp_less_equal(folds, members.size()), "ridge.group_folds",
          "there must be two folds or more and no more than groups; got ", folds, " folds of ", members.size(),
          " groups");
  std::ranges::stable_sort(members, [](const auto& a, const auto& b) { return a.size() > b.size(); });
  std::vector<std::vector<int64_t>> dealt(static_cast<std::size_t>(folds));
  for (const auto& group : members) {
    auto& lightest = *std::ranges::min_element(dealt, [](const auto& a, const auto& b) { return a.size() < b.size(); });
    lightest.insert(lightest.end(), group.begin(), group.end());
  }
  Folds result{static_cast<int64_t>(groups.size()), {}};
  for (auto& rows : dealt) {
    std::ranges::sort(rows);
    result.held_out.push_back(indices(rows));
  }
  return result;
}

Folds sorted_folds(const Folds& folds, int64_t rows, std::string_view where) {
  require(folds.rows == rows, where, "folds must be of the rows of X; got folds of ", folds.rows, " rows for ", rows);
  Folds sorted{rows, {}};
  for (int64_t fold = 0; fold < folds.size(); ++fold) {
    const at::Tensor& given = folds.held_out[static_cast<std::size_t>(fold)];
    require(given.dim() == 1 && given.scalar_type() == at::kLong && given.is_cpu(), where,
            "a fold's rows must be int64 indices in one dimension on the CPU; got shape ", given.sizes(), " of ",
            given.scalar_type(), " on ", given.device().str(), " in fold ", fold);
    const at::Tensor index = std::get<0>(at::sort(given)).contiguous();
    const auto* begin = index.const_data_ptr<int64_t>();
    const auto* end = begin + index.numel();
    if (begin != end) {
      require(*begin >= 0 && *(end - 1) < rows, where, "rows held out must lie in [0, ", rows, "); got ",
              *begin < 0 ? *begin : *(end - 1), " in fold ", fold);
      const auto* twice = std::adjacent_find(begin, end);
      require(twice == end, where, "a fold must name a row once; got row ", twice == end ? 0 : *twice,
              " twice in fold ", fold);
    }
    sorted.held_out.push_back(index);
  }
  return sorted;
}

Folds checked_folds(const Folds& folds, int64_t rows, std::string_view where) {
  Folds sorted = sorted_folds(folds, rows, where);
  require(folds.size() >= 2, where, "there must be two folds or more; got ", folds.size());
  for (int64_t fold = 0; fold < folds.size(); ++fold) {
    const int64_t count = sorted.held_out[static_cast<std::size_t>(fold)].numel();
    require(count >= 2, where, "every fold must hold out two rows or more, else it has no score; got ", count,
            " in fold ", fold, " of ", folds.size(), ", of ", rows, " rows");
    require(rows - count >= 2, where, "every fold must leave two rows or more to train on; got ", rows - count,
            " in fold ", fold);
  }
  return sorted;
}

at::Tensor take_rows(const at::Tensor& x, const at::Tensor& rows) {
  if (rows.numel() == 0) {
    return x.narrow(0, 0, 0);
  }
  if (are_neighbours(rows)) {
    return x.narrow(0, rows.const_data_ptr<int64_t>()[0], rows.numel());
  }
  return x.index_select(0, rows.to(x.device()));
}

}  // namespace brain2music::ridge
