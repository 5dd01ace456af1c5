#include "brain2music/ridge/padded_problems.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/any.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cholesky_solve.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "brain2music/ridge/choice.h"
#include "brain2music/ridge/factors.h"
#include "brain2music/ridge/problem.h"
#include "brain2music/ridge/results.h"
#include "brain2music/ridge/rows.h"
#include "brain2music/ridge/scoring.h"
#include "brain2music/ridge/targets.h"
#include "brain2music/ridge/training_rows.h"

namespace brain2music::ridge {
namespace {

constexpr int64_t wide = 8;  // bytes of a float64

int64_t most_features(const std::vector<Design>& designs) {
  return std::ranges::max_element(designs, {}, &Design::features)->features;
}

/// Of b problems, p features after filling up, t targets. What is said of one problem elsewhere is said here of each
/// along the first dimension.
class PaddedProblems final : public Problem {
 public:
  explicit PaddedProblems(const std::vector<Design>& designs)
      : design_(designs.front()), problems_(static_cast<int64_t>(designs.size())), features_(most_features(designs)) {
    const at::Tensor like = design_.rows->in(design_.type);
    const at::TensorOptions real = like.options().dtype(at::kDouble);
    rows_ = at::zeros({like.size(0), problems_, features_ + 1}, real);
    offset_ = at::zeros({problems_, features_}, real);
    for (int64_t i = 0; i < problems_; ++i) {
      const Design& one = designs[static_cast<std::size_t>(i)];
      const at::Tensor rows = one.rows->in(one.type);
      rows_.select(1, i).narrow(1, 0, one.features).copy_(rows.narrow(1, 0, one.features));
      rows_.select(1, i).select(1, features_).copy_(rows.select(1, one.features));
      offset_[i].narrow(0, 0, one.features).copy_(one.offset);
    }
    grams_ = fold_grams(rows_, design_.folds);
  }

  /// (b,): trace of each Gram matrix of all rows, X about its mean where there is an intercept.
  at::Tensor traces() const {
    return at::sum(about(grams_[all_rows()], mean_of(grams_[all_rows()])).diagonal(0, 1, 2), 1);
  }

  /// One grid for each problem.
  void set_penalties(const std::vector<double>& penalties) {
    penalties_ = at::tensor(penalties, at::kDouble).view({problems_, -1}).to(rows_.device());
  }

  HeldOutSums held_out(int64_t fold, const Tile& tile) const override {
    const at::Tensor held = grams_[fold];
    const auto [mean, w] = solutions(fold, tile);
    const at::Tensor held_sum = row_of(held) - mean * weight_of(held);
    at::Tensor products = centered_cross(mean, cross(tile)[fold]);
    if (design_.intercept) {
      products.sub_(held_sum.unsqueeze(2) * tile.training_mean(fold));
    }
    // (b, p, penalties t): one product for all penalties.
    const at::Tensor side_by_side = w.flatten(2);
    HeldOutSums sums;
    sums.predicted = at::bmm(held_sum.unsqueeze(1), side_by_side).view({problems_, -1, tile.targets()});
    sums.product = at::sum(w * products.unsqueeze(2), 1);
    if (design_.held_out(fold).numel() < features_) {
      const at::Tensor rows = take_rows(rows_, design_.held_out(fold)).transpose(0, 1);
      const at::Tensor centered =
          at::addcmul(rows.narrow(2, 0, features_), rows.narrow(2, features_, 1), mean.unsqueeze(1), /*value=*/-1);
      sums.squares = at::sum(at::bmm(centered, side_by_side).square_(), 1);
    } else {
      sums.squares = at::sum(at::bmm(about(held, mean), side_by_side).mul_(side_by_side), 1);
    }
    sums.squares = sums.squares.view(sums.predicted.sizes());
    return sums;
  }

  /// (b, p, t) for `best` (b, t).
  at::Tensor coefficients(int64_t slot, const Tile& tile, const at::Tensor& best) const override {
    const at::Tensor w = solutions(slot, tile).w;
    const at::Tensor index = best.unsqueeze(1).unsqueeze(1).expand({problems_, features_, 1, tile.targets()});
    return at::gather(w, 2, index).squeeze(2);
  }

  at::Tensor predictions(int64_t /*fold*/, const Tile& /*tile*/, const at::Tensor& /*best*/) const override {
    TORCH_INTERNAL_ASSERT(false, "problems whose predictions are asked for are fitted one by one");
  }

  /// (b, t)
  at::Tensor shift(const at::Tensor& coefficients) const override {
    return at::bmm((mean_of(grams_[all_rows()]) + offset_).unsqueeze(1), coefficients).squeeze(1).neg_();
  }

 private:
  int64_t all_rows() const { return design_.fold_count(); }

  // Of sums of products of [X, 1], (b, p + 1, p + 1): sums of X (b, p), and of the weights (b, 1).
  at::Tensor row_of(const at::Tensor& sums) const { return sums.select(1, features_).narrow(1, 0, features_); }
  at::Tensor weight_of(const at::Tensor& sums) const { return sums.select(1, features_).narrow(1, features_, 1); }

  at::Tensor mean_of(const at::Tensor& sums) const {
    return design_.intercept ? row_of(sums) / weight_of(sums) : at::zeros_like(row_of(sums));
  }

  /// (b, p, p): the same sums, X about `mean`.
  at::Tensor about(const at::Tensor& sums, const at::Tensor& mean) const {
    const at::Tensor row = row_of(sums);
    const at::Tensor rest = row - mean * weight_of(sums);
    const at::Tensor all = sums.narrow(1, 0, features_).narrow(2, 0, features_);
    return at::addcmul(all, row.unsqueeze(2), mean.unsqueeze(1), -1).addcmul_(mean.unsqueeze(2), rest.unsqueeze(1), -1);
  }

  /// (slots, b, p + 1, t): products of [X, 1] with targets.
  const at::Tensor& cross(const Tile& tile) const {
    if (!cross_.defined()) {
      cross_ = fold_products(rows_.flatten(1), tile.rows().to(at::kDouble), design_.folds)
                   .view({grams_.size(0), problems_, features_ + 1, tile.targets()});
    }
    return cross_;
  }

  at::Tensor centered_cross(const at::Tensor& mean, const at::Tensor& cross) const {
    return at::addcmul(cross.narrow(1, 0, features_), mean.unsqueeze(2), cross.narrow(1, features_, 1), -1);
  }

  struct Solutions {
    at::Tensor mean;  // (b, p): of X over the rows trained on
    at::Tensor w;     // (b, p, penalties, t)
  };

  /// Fitted to the rows that fold `slot` trains on, or to all rows.
  Solutions solutions(int64_t slot, const Tile& tile) const {
    const at::Tensor train = training_sums(grams_, design_.folds, slot);
    const at::Tensor sums = training_sums(cross(tile), design_.folds, slot);
    const at::Tensor mean = mean_of(train);
    const int64_t penalties = penalties_.size(1);
    at::Tensor shifted = about(train, mean).unsqueeze(1).repeat({1, penalties, 1, 1});
    shifted.diagonal(0, 2, 3).add_(penalties_.unsqueeze(2));
    const auto [lower, info] = at::linalg_cholesky_ex(shifted);
    if (has_values(info) && at::any(info != 0).item<bool>()) {
      const at::Tensor failed = at::nonzero(info)[0];
      refuse_penalty(penalties_[failed[0].item<int64_t>()][failed[1].item<int64_t>()].item<double>());
    }
    const at::Tensor right =
        centered_cross(mean, sums).unsqueeze(1).expand({problems_, penalties, features_, tile.targets()});
    return {mean, at::cholesky_solve(right, lower).transpose(1, 2).contiguous()};
  }

  Design design_;  // of the first problem
  int64_t problems_;
  int64_t features_;
  at::Tensor rows_;       // (n, b, p + 1)
  at::Tensor offset_;     // (b, p)
  at::Tensor grams_;      // (slots, b, p + 1, p + 1)
  at::Tensor penalties_;  // (b, penalties)
  mutable at::Tensor cross_;
};

}  // namespace

int64_t padded_bytes(int64_t rows, int64_t features, int64_t targets, int64_t folds, int64_t penalties) {
  const int64_t matrices = features * features * (folds + 6 + 2 * penalties);
  return wide * (2 * rows * (features + 1) + matrices + features * targets * (folds + 5 + 4 * penalties));
}

std::vector<RidgeFit> fit_padded(std::vector<Design> designs, const at::Tensor& y, const RidgeOptions& options) {
  PaddedProblems problems(designs);
  const auto count = static_cast<int64_t>(designs.size());
  const at::Tensor traces = options.alphas.empty() ? problems.traces().cpu() : at::Tensor();
  std::vector<double> penalties;
  for (int64_t i = 0; i < count; ++i) {
    Design& design = designs[static_cast<std::size_t>(i)];
    const auto features = static_cast<double>(design.features);
    const double trace = traces.defined() && has_values(traces) ? traces[i].item<double>() : features;
    design.alphas = traces.defined() ? relative_alphas(trace / features) : options.alphas;
    penalties.insert(penalties.end(), design.alphas.begin(), design.alphas.end());
  }
  problems.set_penalties(penalties);

  const Design& design = designs.front();
  const Tile tile = Targets(design, y).some(at::arange(y.size(1), y.options().dtype(at::kLong)));
  const Scores scores = score(problems, design, tile, options.scoring);
  const at::Tensor best =
      options.alpha_per_target
          ? at::argmax(scores.chosen_by, 1)
          : at::argmax(at::sum(scores.chosen_by, 2), 1).unsqueeze(1).expand({count, tile.targets()}).contiguous();
  at::Tensor coef;
  at::Tensor intercept;
  if (options.refit) {
    coef = problems.coefficients(design.fold_count(), tile, best);
    intercept = tile.training_mean(design.fold_count()) + tile.offset() + problems.shift(coef);
  }
  std::vector<RidgeFit> fits(designs.size());
  for (int64_t i = 0; i < count; ++i) {
    const Design& one = designs[static_cast<std::size_t>(i)];
    RidgeFit& fit = fits[static_cast<std::size_t>(i)];
    fit.solver = Solver::cholesky;
    Results results(fit, one, options, one.features, y.size(0), y.options().dtype(one.type));
    results.record(0, scores.chosen_by[i], scores.correlation[i], best[i]);
    if (options.refit) {
      Results::put(fit.coef, 0, coef[i].narrow(0, 0, one.features));
    }
    if (options.refit && design.intercept) {
      Results::put(fit.intercept, 0, intercept[i]);
    }
    results.finish();
  }
  return fits;
}

}  // namespace brain2music::ridge
