#include "brain2music/ridge/packed_fold.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace brain2music::ridge {
namespace {

using registers::block;
using registers::load;
using registers::store;

using RegisterTile = registers::Tile<float>;

constexpr int64_t width = Panels<float>::width;
constexpr int64_t lanes = registers::lanes<float>;

constexpr int64_t kinds_of_sums = 3;  // as in HeldOutSums

// Panels worth a thread of their own.
constexpr int64_t panels_at_once = 8;

}  // namespace

struct PackedFold::Terms {
  using Values = std::array<float, block * width>;
  Values product, far, near, gap;
};

PackedFold::PackedFold(const EigenFold& fold, std::shared_ptr<const std::vector<PackedLeft>> held_out)
    : features_(fold.divided.size(0)),
      penalties_(fold.weights.size(1)),
      scale_(fold.scale),
      held_out_(std::move(held_out)),
      held_rows_(fold.held_rows.defined() ? PackedLeft(fold.held_rows.t()) : PackedLeft()),
      to_basis_(fold.to_basis),
      divided_(fold.divided) {
  for (const Band& band : fold.near) {
    pack_near(band);
  }
  pack_weights(fold.weights.contiguous());
  const at::Tensor sum = fold.held_sum.contiguous();
  held_sum_.assign(sum.const_data_ptr<float>(), sum.const_data_ptr<float>() + features_);
  held_sum_.resize(static_cast<std::size_t>(registers::whole_tiles(features_)), 0);
}

void PackedFold::pack_near(const Band& band) {
  const at::Tensor values = band.values.contiguous();
  const at::Tensor squared_gap = band.squared_gap.contiguous();
  const int64_t columns = values.size(1);
  for (int64_t top = 0; top < values.size(0); top += registers::rows) {
    const int64_t rows = std::min(registers::rows, values.size(0) - top);
    const float* near = values.const_data_ptr<float>() + top * columns;
    const float* gap = squared_gap.const_data_ptr<float>() + top * columns;
    const auto empty = [&](int64_t column) {
      for (int64_t row = 0; row < rows; ++row) {
        if (near[row * columns + column] != 0) {
          return false;
        }
      }
      return true;
    };
    int64_t first = 0;
    int64_t last = columns;
    for (; first < last && empty(first); ++first) {
    }
    for (; first < last && empty(last - 1); --last) {
    }
    strips_.push_back({band.first_column + first, last - first, std::ssize(near_)});
    for (int64_t column = first; column < last; ++column) {
      for (int64_t row = 0; row < registers::rows; ++row) {
        near_.push_back(row < rows ? near[row * columns + column] : 0);
        gap_.push_back(row < rows ? gap[row * columns + column] : 0);
      }
    }
  }
}

void PackedFold::pack_weights(const at::Tensor& weights) {
  const auto* from = weights.const_data_ptr<float>();
  for (int64_t top = 0; top < penalties_; top += registers::rows) {
    for (int64_t kind = 0; kind < weights.size(0); ++kind) {
      for (int64_t feature = 0; feature < features_; ++feature) {
        for (int64_t penalty = top; penalty < top + registers::rows; ++penalty) {
          weights_.push_back(penalty < penalties_ ? from[(kind * penalties_ + penalty) * features_ + feature] : 0);
        }
      }
    }
  }
}

void PackedFold::make_terms(const Products& products, int64_t first, int64_t count, Terms& terms) const {
  const auto mean_left = load(products.mean);
  const auto mean_right = load(products.mean + lanes);
  for (int64_t top = 0; top < count; top += registers::rows) {
    const NearStrip& strip = strips_[static_cast<std::size_t>((first + top) / registers::rows)];
    RegisterTile near;
    RegisterTile gap;
    const float* its = products.c + strip.first_column * width;
    near.add<1, registers::rows, width>(near_.data() + strip.place, its, strip.columns);
    gap.add<1, registers::rows, width>(gap_.data() + strip.place, its, strip.columns);
    near.to(&terms.near[top * width], width);
    gap.to(&terms.gap[top * width], width);
    for (int64_t row = top; row < top + registers::rows; ++row) {
      const int64_t from = (first + row) * width;
      const float sum = held_sum_[static_cast<std::size_t>(first + row)];
      const auto multiply = [&](int64_t lane, const auto& mean) {
        const auto c = load(products.c + from + lane);
        const int64_t to = row * width + lane;
        store(&terms.product[to], c * (load(products.held + from + lane) - sum * mean));
        store(&terms.far[to], c * load(products.far + from + lane));
        store(&terms.near[to], c * load(&terms.near[to]));
        store(&terms.gap[to], c * load(&terms.gap[to]));
      };
      multiply(0, mean_left);
      multiply(lanes, mean_right);
    }
  }
}

/// Of one panel: (3, penalties in whole tiles, width).
std::vector<float> PackedFold::panel_sums(const Products& products) const {
  const int64_t all = registers::whole_tiles(penalties_);
  const int64_t kind = features_ * registers::rows;
  std::vector<float> sums(static_cast<std::size_t>(kinds_of_sums * all * width));
  Terms terms;
  for (int64_t first = 0; first < features_; first += block) {
    const int64_t count = std::min(block, features_ - first);
    make_terms(products, first, count, terms);
    for (int64_t top = 0; top < all; top += registers::rows) {
      const float* weights = weights_.data() + 5 * top * features_ + first * registers::rows;
      const auto add = [&](RegisterTile& sum, int64_t number, const float* term) {
        sum.add<1, registers::rows, width>(weights + number * kind, term, count);
      };
      RegisterTile predicted;
      add(predicted, 0, products.c + first * width);
      predicted.add_to(sums.data() + top * width, width);
      RegisterTile product;
      add(product, 1, terms.product.data());
      product.add_to(sums.data() + (all + top) * width, width);
      RegisterTile squares;
      add(squares, 2, terms.far.data());
      add(squares, 3, terms.near.data());
      add(squares, 4, terms.gap.data());
      squares.add_to(sums.data() + (2 * all + top) * width, width);
    }
  }
  return sums;
}

/// Of the targets of a panel, from number `target` on, into `result` (3, penalties, t).
void PackedFold::put(const std::vector<float>& sums, int64_t target, const at::Tensor& result) const {
  const int64_t targets = result.size(2);
  const float* from = sums.data();
  double* to = result.mutable_data_ptr<double>() + target;
  for (int64_t kind = 0; kind < kinds_of_sums; ++kind) {
    for (int64_t penalty = 0; penalty < penalties_; ++penalty) {
      std::copy_n(from + penalty * width, std::min(width, targets - target), to + penalty * targets);
    }
    from += registers::whole_tiles(penalties_) * width;
    to += penalties_ * targets;
  }
}

HeldOutSums PackedFold::sums(const Tile& tile, int64_t number, const at::Tensor& held_out, const at::Tensor& mean,
                             const at::Tensor& training) const {
  const int64_t targets = tile.targets();
  std::optional<Panels<float>> of_training;
  if (training.defined()) {
    of_training.emplace(training);
  }
  const bool by_rows = held_rows_.rows() > 0;
  const Panels<float>& right = by_rows ? tile.packed_rows() : tile.packed_fold_products(number, *held_out_);
  const Panels<float>& products = of_training ? *of_training : tile.packed_products();
  const int64_t panels = products.count();
  const int64_t size = registers::blocks_of(features_) * block * width;
  const at::Tensor buffer = tile.scratch({3, panels, size}, divided_.options());
  auto* first_c = buffer.mutable_data_ptr<float>();
  at::Tensor result = at::empty({kinds_of_sums, penalties_, targets}, buffer.options().dtype(at::kDouble));
  at::parallel_for(0, panels, panels_at_once, [&](int64_t begin, int64_t end) {
    const int64_t count = end - begin;
    float* c = first_c + begin * size;
    float* held = c + panels * size;
    float* far = held + panels * size;
    if (by_rows) {
      held_rows_.times_rows(right, held_out, begin, count, held, size);
    } else {
      to_basis_.times(right.at(begin), right.step(), count, held, size);
    }
    to_basis_.times(products.at(begin), products.step(), count, c, size, of_training ? nullptr : held);
    divided_.times(c, size, count, far, size);
    for (int64_t panel = 0; panel < count; ++panel) {
      const int64_t target = (begin + panel) * width;
      std::array<float, width> means{};
      if (mean.defined()) {
        std::copy_n(mean.const_data_ptr<float>() + target, std::min(width, targets - target), means.begin());
      }
      put(panel_sums({c + panel * size, held + panel * size, far + panel * size, means.data()}), target, result);
    }
  });
  result.narrow(0, 0, 2).mul_(scale_);
  return {result[0], result[1], result[2]};
}

}  // namespace brain2music::ridge
