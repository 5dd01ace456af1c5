#include "brain2music/ridge/targets.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "brain2music/device/memory.h"
#include "brain2music/device/staging.h"
#include "brain2music/ridge/side_by_side.h"
#include "brain2music/ridge/training_rows.h"

namespace brain2music::ridge {
namespace {

// Tiles are not made smaller than this for want of memory on a GPU.
constexpr int64_t least_targets = 64;

// Panels worth a thread of their own.
constexpr int64_t panels_at_once = 8;

std::size_t place(at::ScalarType type) { return type == at::kFloat ? 0 : 1; }

/// Sums of panels [begin, end) of all `parts`.
void add_up(const std::vector<Panels<float>>& parts, int64_t begin, int64_t end, Panels<float>& sums) {
  const int64_t count = (end - begin) * sums.step();
  float* to = sums.at(begin);
  std::copy_n(parts.front().at(begin), count, to);
  for (std::size_t part = 1; part < parts.size(); ++part) {
    const float* from = parts[part].at(begin);
    for (int64_t i = 0; i < count; ++i) {
      to[i] += from[i];
    }
  }
}

}  // namespace

Tile::Tile(const Design& design, int64_t first, CenteredRows rows, Moments moments)
    : design_(design),
      first_(first),
      rows_(std::move(rows.values)),
      offset_(std::move(rows.offset)),
      moments_(std::move(moments)) {}

Tile::Tile(const Design& design, int64_t first, at::Tensor products, at::Tensor offset, Moments moments)
    : design_(design), first_(first), offset_(std::move(offset)), moments_(std::move(moments)) {
  fold_products_[place(at::kDouble)] = std::move(products);
}

at::Tensor Tile::training_mean(int64_t slot) const {
  return training_sums(moments_.sums, design_.folds, slot) / design_.train_weight(slot);
}

const at::Tensor& Tile::fold_products(at::ScalarType type) const {
  at::Tensor& products = fold_products_[place(type)];
  if (!products.defined()) {
    products = rows_.defined() ? ridge::fold_products(design_.rows->in(type), rows_.to(type), design_.folds).to(type)
                               : fold_products_[place(at::kDouble)].to(type);
  }
  return products;
}

at::Tensor Tile::products(at::ScalarType type) const {
  at::Tensor& products = products_[place(type)];
  if (type == at::kFloat && packs() && !fold_products_[place(type)].defined() && !products.defined()) {
    products = packed_products().unpacked(design_.features + 1, targets());
  }
  return unpacked_products(type);
}

/// By LibTorch, where they are not there yet.
at::Tensor Tile::unpacked_products(at::ScalarType type) const {
  if (!rows_.defined() || fold_products_[place(type)].defined()) {
    return fold_products(type)[design_.fold_count()];
  }
  at::Tensor& products = products_[place(type)];
  if (!products.defined()) {
    products = all_products(design_.rows->in(type), rows_.to(type));
  }
  return products;
}

at::Tensor Tile::training_products(int64_t fold, at::ScalarType type) const {
  if (!rows_.defined() || fold_products_[place(type)].defined()) {
    return training_sums(fold_products(type), design_.folds, fold);
  }
  std::vector<at::Tensor>& of_folds = training_products_[place(type)];
  of_folds.resize(static_cast<std::size_t>(design_.fold_count()));
  at::Tensor& made = of_folds[static_cast<std::size_t>(fold)];
  if (!made.defined()) {
    made = ridge::training_products(design_.rows->in(type), rows_.to(type), design_.folds, fold, products(type));
  }
  return made;
}

/// Whether products are made by register tiles.
bool Tile::packs() const { return rows_.defined() && rows_.size(0) <= few_rows && tiles_pay(rows_); }

const Panels<float>& Tile::packed_products() const {
  if (packed_products_) {
    return *packed_products_;
  }
  if (!packs() || fold_products_[place(at::kFloat)].defined()) {
    return packed_products_.emplace(unpacked_products(at::kFloat));
  }
  const PackedLeft& left = design_.rows->packed();
  const Panels<float>& rows = packed_rows();
  Panels<float>& made = packed_products_.emplace(left.rows(), targets());
  at::parallel_for(0, made.count(), panels_at_once, [&](int64_t begin, int64_t end) {
    left.times(rows.at(begin), rows.step(), end - begin, made.at(begin), made.step());
  });
  return made;
}

const Panels<float>& Tile::packed_fold_products(int64_t fold, const std::vector<PackedLeft>& held_out) const {
  if (packed_fold_products_.empty()) {
    const Panels<float>& rows = packed_rows();
    for (std::size_t number = 0; number < held_out.size(); ++number) {
      packed_fold_products_.emplace_back(design_.features + 1, targets());
    }
    Panels<float>* const all = !packed_products_ && is_partition(design_.folds)
                                   ? &packed_products_.emplace(design_.features + 1, targets())
                                   : nullptr;
    at::parallel_for(0, rows.count(), panels_at_once, [&](int64_t begin, int64_t end) {
      for (std::size_t number = 0; number < held_out.size(); ++number) {
        Panels<float>& made = packed_fold_products_[number];
        held_out[number].times_rows(rows, design_.folds.held_out[number], begin, end - begin, made.at(begin),
                                    made.step());
      }
      if (all != nullptr) {
        add_up(packed_fold_products_, begin, end, *all);
      }
    });
  }
  return packed_fold_products_[static_cast<std::size_t>(fold)];
}

const Panels<float>& Tile::packed_rows() const { return packed_rows_ ? *packed_rows_ : packed_rows_.emplace(rows_); }

at::Tensor Tile::scratch(at::IntArrayRef shape, const at::TensorOptions& options) const {
  const int64_t size = c10::multiply_integers(shape);
  if (!scratch_.defined() || scratch_.numel() < size ||
      scratch_.scalar_type() != c10::typeMetaToScalarType(options.dtype())) {
    scratch_ = at::empty({size}, options);
  }
  return scratch_.narrow(0, 0, size).view(shape);
}

Targets::Targets(const Design& design, at::Tensor y) : design_(design), y_(std::move(y)) {}

Targets::Targets(const Design& design, const FoldStatistics& statistics) : design_(design), statistics_(&statistics) {}

int64_t Targets::count() const { return statistics_ != nullptr ? statistics_->targets() : y_.size(1); }

Tile Targets::tile(int64_t first, const at::Tensor& y) const {
  CenteredRows rows = nearly_centered_rows(y, /*zero=*/!design_.intercept);
  if (design_.roots.defined()) {
    rows.values = rows.values * design_.roots.to(y.scalar_type()).unsqueeze(1);
  }
  Moments moments = fold_moments(rows.values, design_.folds, design_.roots);
  return {design_, first, std::move(rows), std::move(moments)};
}

Tile Targets::some(const at::Tensor& indices) const {
  // Not index_select, which first copies all of a Y whose rows do not lie in one piece.
  const c10::List<std::optional<at::Tensor>> columns({std::nullopt, indices});
  return tile(0, at::index(y_, columns).to(design_.device, design_.type));
}

void Targets::each(int64_t width, c10::function_ref<void(const Tile&)> use) const {
  const int64_t all = count();
  if (statistics_ != nullptr) {
    const int64_t features = design_.features;
    const int64_t tiles = (all + width - 1) / width;
    side_by_side(tiles, design_.offset, [&](int64_t number) {
      const int64_t first = number * width;
      const int64_t targets = std::min(width, all - first);
      const at::Tensor cross = statistics_->cross.narrow(2, first, targets).to(design_.device);
      const at::Tensor squares = statistics_->y_squares.narrow(1, first, targets).to(design_.device);
      use(Tile(design_, first, cross, statistics_->y_offset.narrow(0, first, targets).to(design_.device),
               {cross.select(1, features), squares}));
    });
    return;
  }
  device::StagedColumns columns(y_, design_.type, design_.device);
  if (design_.device.is_cuda() && has_values(y_)) {
    device::in_blocks(all, width, least_targets, [&](int64_t first, int64_t targets) {
      const at::Tensor y = columns.take(first, targets);
      columns.begin(first + targets, std::min(targets, all - first - targets));
      use(tile(first, y));
    });
    return;
  }
  side_by_side((all + width - 1) / width, y_, [&](int64_t number) {
    const int64_t first = number * width;
    use(tile(first, columns.take(first, std::min(width, all - first))));
  });
}

}  // namespace brain2music::ridge
