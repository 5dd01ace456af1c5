#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/any.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

#include "brain2music/ridge/rows.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {
namespace {

// How much larger than 6e-8 the rounding of float32 products may become in predictions; scores then are exact to a few
// millionths.
constexpr double single_precision_growth = 300;

// Eigenvalues closer than this share of themselves and the smallest penalty are near: see EigenFold.
constexpr double near_single = 0.03;
constexpr double near_double = 5e-4;

// Rows of the near products taken together: near eigenvalues lie close to the diagonal.
constexpr int64_t band_rows = 32;

struct Band {
  int64_t first_row;
  int64_t first_column;
  at::Tensor values;       // (rows, columns): Gram matrix of held-out rows where eigenvalues are near
  at::Tensor squared_gap;  // the same times the squared distance of eigenvalues
};

/// One fold in the eigenbasis Q of its training Gram matrix, with eigenvalues L, c = Q'X'y and M the held-out Gram
/// matrix in that basis. For a penalty a, with D = 1 / (L + a), the squared predictions are
///     sum_ij D_i D_j M_ij c_i c_j .
/// Since D_i D_j = (D_i - D_j) / (L_j - L_i), this is sum_i D_i 2 c_i (N c)_i with N_ij = M_ij / (L_j - L_i): one
/// product with N does for all penalties. Where L_i and L_j are near, that would cancel, but there
///     D_i D_j = (D_i^2 + D_j^2) / 2 - (L_j - L_i)^2 (D_i^4 + D_j^4) / 4
/// up to the fourth power of (L_j - L_i) / (L + a), which is a sum of terms in i and in j as well.
/// Everything is scaled by the largest eigenvalue, so that no power of D leaves the range of float32.
struct EigenFold {
  at::Tensor to_basis;  // (p, p + 1): Q'[I, -mean] / scale
  at::Tensor divided;   // (p, p): N
  std::vector<Band> near;
  at::Tensor weights;      // (penalties, p): D
  at::Tensor differences;  // (penalties, p): D less that of the largest eigenvalue, for the terms in N, which without
                           // it cancel where the penalty is far above all eigenvalues
  at::Tensor held_sum;     // (p,): Q' sum of centred held-out rows / scale
  double scale = 1;
};

struct Spectrum {
  at::Tensor values;    // (p,) increasing
  at::Tensor basis;     // (p, p)
  at::Tensor held_out;  // (p, p): held-out Gram matrix in the basis
  double growth = 1;    // of the rounding of products with targets, in predictions with the smallest penalty
};

Spectrum spectrum_of(const FoldGram& gram, double smallest) {
  auto [values, basis] = at::linalg_eigh(gram.train);
  values = values.clamp_min(0);
  const at::Tensor held_out = at::mm(at::mm(basis.t(), gram.held_out), basis);
  const at::Tensor penalised = values + smallest;
  const at::Tensor growth = at::sqrt(penalised[-1] * at::sum(held_out.diagonal().abs() / penalised.square()));
  return {values, basis, held_out, has_values(values) ? growth.item<double>() : 1.0};
}

EigenFold eigen_fold(const FoldGram& gram, const Spectrum& spectrum, const std::vector<double>& alphas,
                     at::ScalarType type) {
  EigenFold fold;
  const at::Tensor& values = spectrum.values;
  const at::Tensor penalised = values + *std::min_element(alphas.begin(), alphas.end());
  const bool real = has_values(values);
  const int64_t p = values.numel();
  fold.scale = real ? penalised[-1].item<double>() : 1.0;
  fold.to_basis = (at::mm(spectrum.basis.t(), gram.shift) / fold.scale).to(type);
  fold.held_sum = (at::mv(spectrum.basis.t(), gram.held_sum) / fold.scale).to(type);
  const at::Tensor all = at::tensor(alphas, at::kDouble).to(values.device()).unsqueeze(1);
  const at::Tensor weights = fold.scale / (values + all);
  const at::Tensor largest = values[-1];
  fold.weights = weights.to(type);
  fold.differences = (weights * (largest - values) / (largest + all)).to(type);

  const at::Tensor gap = (values.unsqueeze(0) - values.unsqueeze(1)) / fold.scale;
  const at::Tensor bound = at::minimum(penalised.unsqueeze(0), penalised.unsqueeze(1)) *
                           ((type == at::kFloat ? near_single : near_double) / fold.scale);
  const at::Tensor near = gap.abs() <= bound;
  fold.divided = at::where(near, at::zeros({}, gap.options()), spectrum.held_out / gap).to(type);
  const at::Tensor values_near = spectrum.held_out * near;
  const at::Tensor squared = values_near * gap.square();
  const at::Tensor where_near = real ? near.cpu() : at::ones({p, p}, at::kBool);
  for (int64_t row = 0; row < p; row += band_rows) {
    const int64_t rows = std::min(band_rows, p - row);
    const at::Tensor columns = at::nonzero(at::any(where_near.narrow(0, row, rows), 0)).squeeze(1);
    const auto first = columns[0].item<int64_t>();
    const int64_t count = columns[-1].item<int64_t>() - first + 1;
    const auto part = [&](const at::Tensor& m) { return m.narrow(0, row, rows).narrow(1, first, count).to(type); };
    fold.near.push_back({row, first, part(values_near), part(squared)});
  }
  return fold;
}

class EigenProblem final : public Problem {
 public:
  EigenProblem(const Design& design, const at::Tensor& gram) : design_(design) {
    const double smallest = *std::min_element(design.alphas.begin(), design.alphas.end());
    std::vector<Spectrum> spectra;
    bool single = design.single;
    for (int64_t slot = 0; slot <= design.folds.size(); ++slot) {
      grams_.push_back(fold_gram_of(gram, slot, design.intercept));
      if (slot < design.folds.size()) {
        spectra.push_back(spectrum_of(grams_.back(), smallest));
        single = single && spectra.back().growth <= single_precision_growth;
      }
    }
    type_ = single ? at::kFloat : at::kDouble;
    for (std::size_t fold = 0; fold < spectra.size(); ++fold) {
      folds_.push_back(eigen_fold(grams_[fold], spectra[fold], design.alphas, type_));
      grams_[fold].held_out.reset();
    }
    design_.rows = design.rows.to(type_);
  }

  at::Tensor products(const at::Tensor& y) const override {
    return fold_products(design_.rows, y.to(type_), design_.folds);
  }

  HeldOutSums held_out(int64_t number, const at::Tensor& products) const override {
    const EigenFold& fold = folds_[static_cast<std::size_t>(number)];
    const int64_t all = design_.folds.size();
    const int64_t p = fold.divided.size(0);
    at::Tensor held = at::mm(fold.to_basis, products[number].to(type_));
    const at::Tensor c = at::mm(fold.to_basis, products[all].to(type_)).sub_(held);
    if (design_.intercept) {
      const auto train_rows =
          static_cast<double>(design_.rows.size(0) - design_.folds.held_out[static_cast<std::size_t>(number)].numel());
      const at::Tensor y_mean = (products[all][p] - products[number][p]) / train_rows;
      held.sub_(at::outer(fold.held_sum, y_mean.to(type_)));
    }
    at::Tensor near = at::empty_like(c);
    at::Tensor gap = at::empty_like(c);
    for (const Band& band : fold.near) {
      const int64_t rows = band.values.size(0);
      const at::Tensor part = c.narrow(0, band.first_column, band.values.size(1));
      at::Tensor near_rows = near.narrow(0, band.first_row, rows);
      at::Tensor gap_rows = gap.narrow(0, band.first_row, rows);
      at::mm_out(near_rows, band.values, part);
      at::mm_out(gap_rows, band.squared_gap, part);
    }
    const at::Tensor& d = fold.weights;
    const at::Tensor squares = at::mm(fold.differences, at::mm(fold.divided, c).mul_(c).mul_(2)) +
                               at::mm(d.square(), near.mul_(c)) - at::mm(d.square().square(), gap.mul_(c)) / 2;
    return {(at::mm(d * fold.held_sum, c) * fold.scale).to(at::kDouble),
            (at::mm(d, held.mul_(c)) * fold.scale).to(at::kDouble), squares.to(at::kDouble)};
  }

  at::Tensor coefficients(int64_t slot, const at::Tensor& products, const at::Tensor& best) const override {
    const FoldGram& gram = grams_[static_cast<std::size_t>(slot)];
    at::Tensor cross = products[design_.folds.size()];
    if (slot < design_.folds.size()) {
      cross = cross - products[slot];
    }
    return solve_chosen(gram.train, at::mm(gram.shift, cross), design_.alphas, best);
  }

  at::Tensor mean(int64_t slot) const override { return grams_[static_cast<std::size_t>(slot)].mean; }

 private:
  Design design_;
  std::vector<FoldGram> grams_;
  std::vector<EigenFold> folds_;
  at::ScalarType type_ = at::kDouble;
};

}  // namespace

std::unique_ptr<Problem> eigenbasis_problem(const Design& design, const at::Tensor& gram) {
  return std::make_unique<EigenProblem>(design, gram);
}

}  // namespace brain2music::ridge
