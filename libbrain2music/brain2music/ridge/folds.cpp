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

/// Rows of a fold, sorted; throws unless they exist and are named once. `part` says what the fold does with them.
at::Tensor sorted_rows(const at::Tensor& given, int64_t rows, int64_t fold, std::string_view part,
                       std::string_view where) {
  require(given.dim() == 1 && given.scalar_type() == at::kLong && given.is_cpu(), where,
          "a fold's rows must be int64 indices in one dimension on the CPU; got shape ", given.sizes(), " of ",
          given.scalar_type(), " on ", given.device().str(), " in fold ", fold);
  at::Tensor index = std::get<0>(at::sort(given)).contiguous();
  const auto* begin = index.const_data_ptr<int64_t>();
  const auto* end = begin + index.numel();
  if (begin != end) {
    require(*begin >= 0 && *(end - 1) < rows, where, "rows ", part, " must lie in [0, ", rows, "); got ",
            *begin < 0 ? *begin : *(end - 1), " in fold ", fold);
    const auto* twice = std::adjacent_find(begin, end);
    require(twice == end, where, "a fold must name a row once; got row ", twice == end ? 0 : *twice, " twice in fold ",
            fold);
  }
  return index;
}

/// The first of some sorted rows that others hold as well, or -1.
int64_t first_of_both(const at::Tensor& some, const at::Tensor& others) {
  const auto* begin = others.const_data_ptr<int64_t>();
  const auto* end = begin + others.numel();
  for (int64_t i = 0; i < some.numel(); ++i) {
    const int64_t row = some.const_data_ptr<int64_t>()[i];
    begin = std::lower_bound(begin, end, row);
    if (begin != end && *begin == row) {
      return row;
    }
  }
  return -1;
}

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
  require(folds.trained_on.empty() || folds.trained_on.size() == folds.held_out.size(), where,
          "folds must say what each of them trains on, or none; got ", folds.trained_on.size(), " of ", folds.size());
  Folds sorted{rows, {}};
  bool any_gap = false;
  for (int64_t fold = 0; fold < folds.size(); ++fold) {
    const auto number = static_cast<std::size_t>(fold);
    const at::Tensor held_out = sorted_rows(folds.held_out[number], rows, fold, "held out", where);
    at::Tensor trained_on;
    if (folds.has_gap(fold)) {
      trained_on = sorted_rows(folds.trained_on[number], rows, fold, "trained on", where);
      const int64_t both = first_of_both(trained_on, held_out);
      require(both < 0, where, "a fold must not train on rows that it holds out; got row ", both, " in fold ", fold);
      if (trained_on.numel() == rows - held_out.numel()) {
        trained_on.reset();
      }
    }
    any_gap = any_gap || trained_on.defined();
    sorted.held_out.push_back(held_out);
    sorted.trained_on.push_back(trained_on);
  }
  if (!any_gap) {
    sorted.trained_on.clear();
  }
  return sorted;
}

Folds checked_folds(const Folds& folds, int64_t rows, std::string_view where) {
  Folds sorted = sorted_folds(folds, rows, where);
  require(folds.size() >= 1, where, "there must be a fold or more; got ", folds.size());
  for (int64_t fold = 0; fold < folds.size(); ++fold) {
    const int64_t count = sorted.held_out[static_cast<std::size_t>(fold)].numel();
    require(count >= 2, where, "every fold must hold out two rows or more, else it has no score; got ", count,
            " in fold ", fold, " of ", folds.size(), ", of ", rows, " rows");
    const int64_t left =
        sorted.has_gap(fold) ? sorted.trained_on[static_cast<std::size_t>(fold)].numel() : rows - count;
    require(left >= 2, where, "every fold must leave two rows or more to train on; got ", left, " in fold ", fold);
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
