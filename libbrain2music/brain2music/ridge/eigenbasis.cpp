#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/any.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <vector>

#include "brain2music/device/overlapped.h"
#include "brain2music/kernels/fold_scores.h"
#include "brain2music/ridge/eigen_fold.h"
#include "brain2music/ridge/gram_problem.h"
#include "brain2music/ridge/packed_fold.h"
#include "brain2music/ridge/register_tile.h"
#include "brain2music/ridge/rows.h"
#include "brain2music/ridge/side_by_side.h"
#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {
namespace {

// How much larger than 6e-8 the rounding of float32 products may become in predictions; scores then are exact to a few
// millionths.
constexpr double single_precision_growth = 300;

// Eigenvalues closer than this share of themselves and the smallest penalty are near: see EigenFold.
constexpr double near_single = 0.03;
constexpr double near_double = 5e-4;

// Rows of the near products taken together: near eigenvalues lie close to the diagonal. Whole register tiles; a GPU is
// not kept busy by few.
constexpr int64_t band_rows = 5 * registers::rows;
constexpr int64_t band_rows_on_gpu = 128;

struct Spectrum {
  at::Tensor values;     // (p,) increasing
  at::Tensor basis;      // (p, p)
  at::Tensor held_rows;  // (held-out rows, p): centred, in the basis; undefined where p is smaller
  at::Tensor held_out;   // (p, p): held-out Gram matrix in the basis
  double growth = 1;     // of the rounding of products with targets, in predictions with the smallest penalty
};

/// Eigenvalues and eigenvectors of each fold's training Gram matrix on a GPU: side by side, since each alone leaves it
/// idle.
std::vector<Spectrum> spectra_on_gpu(const std::vector<at::Tensor>& grams) {
  // LibTorch loads its solvers when first asked for one, which must not happen in several threads at once.
  static std::once_flag loaded;
  std::call_once(loaded, [&] { at::linalg_eigh(at::ones({1, 1}, grams.front().options())); });
  std::vector<Spectrum> spectra(grams.size());
  device::overlapped(std::ssize(grams), grams.front().device(), [&](int64_t fold) {
    Spectrum& spectrum = spectra[static_cast<std::size_t>(fold)];
    std::tie(spectrum.values, spectrum.basis) = at::linalg_eigh(grams[static_cast<std::size_t>(fold)]);
    return std::vector<at::Tensor>{spectrum.values, spectrum.basis};
  });
  return spectra;
}

/// @param rows     held-out rows (rows, p), centred, where they are fewer than columns; else undefined.
/// @param spectrum may hold eigenvalues and eigenvectors already.
void complete(Spectrum& spectrum, const FoldGram& gram, const at::Tensor& rows, double smallest) {
  if (!spectrum.values.defined()) {
    std::tie(spectrum.values, spectrum.basis) = at::linalg_eigh(gram.train);
  }
  spectrum.values = spectrum.values.clamp_min(0);
  if (rows.defined()) {
    spectrum.held_rows = at::mm(rows, spectrum.basis);
    spectrum.held_out = at::mm(spectrum.held_rows.t(), spectrum.held_rows);
  } else {
    spectrum.held_out = at::mm(at::mm(spectrum.basis.t(), gram.held_out), spectrum.basis);
  }
  const at::Tensor penalised = spectrum.values + smallest;
  const at::Tensor growth = at::sqrt(penalised[-1] * at::sum(spectrum.held_out.diagonal().abs() / penalised.square()));
  spectrum.growth = has_values(growth) ? growth.item<double>() : 1.0;
}

EigenFold eigen_fold(const FoldGram& gram, const Spectrum& spectrum, const Design& design, at::ScalarType type) {
  const std::vector<double>& alphas = design.alphas;
  EigenFold fold;
  const at::Tensor& values = spectrum.values;
  const at::Tensor penalised = values + *std::ranges::min_element(alphas);
  const bool real = has_values(values);
  const int64_t p = values.numel();
  fold.scale = real ? penalised[-1].item<double>() : 1.0;
  const at::Tensor basis = design.scaled(spectrum.basis);  // takes unscaled products
  const at::Tensor to_mean = at::mv(basis.t(), gram.mean).neg_().unsqueeze(1);
  fold.to_basis = (at::cat({basis.t(), to_mean}, 1) / fold.scale).to(type);
  if (spectrum.held_rows.defined()) {
    fold.held_rows = (spectrum.held_rows / fold.scale).to(type);
  }
  fold.held_sum = (at::mv(spectrum.basis.t(), gram.held_sum) / fold.scale).to(type);
  const at::Tensor all = at::tensor(alphas, at::kDouble).to(values.device()).unsqueeze(1);
  const at::Tensor weights = fold.scale / (values + all);
  const at::Tensor largest = values[-1];
  const at::Tensor differences = weights * (largest - values) / (largest + all);
  fold.weights = at::stack({weights * at::mv(spectrum.basis.t(), gram.held_sum) / fold.scale, weights, differences * 2,
                            weights.square(), weights.square().square() / -2})
                     .to(type);

  const at::Tensor gap = (values.unsqueeze(0) - values.unsqueeze(1)) / fold.scale;
  const at::Tensor bound = at::minimum(penalised.unsqueeze(0), penalised.unsqueeze(1)) *
                           ((type == at::kFloat ? near_single : near_double) / fold.scale);
  const at::Tensor near = gap.abs() <= bound;
  fold.divided = at::where(near, at::zeros({}, gap.options()), spectrum.held_out / gap).to(type);
  const at::Tensor values_near = spectrum.held_out * near;
  const at::Tensor squared = values_near * gap.square();
  const at::Tensor where_near = real ? near.cpu() : at::ones({p, p}, at::kBool);
  const int64_t step = values.is_cuda() ? band_rows_on_gpu : band_rows;
  for (int64_t row = 0; row < p; row += step) {
    const int64_t rows = std::min(step, p - row);
    const at::Tensor columns = at::nonzero(at::any(where_near.narrow(0, row, rows), 0)).squeeze(1);
    const auto first = columns[0].item<int64_t>();
    const int64_t count = columns[-1].item<int64_t>() - first + 1;
    const auto part = [&](const at::Tensor& m) { return m.narrow(0, row, rows).narrow(1, first, count).to(type); };
    fold.near.push_back({row, first, part(values_near), part(squared)});
  }
  return fold;
}

class EigenProblem final : public GramProblem {
 public:
  EigenProblem(const Design& design, const std::shared_ptr<const FoldGrams>& grams)
      : GramProblem(design, grams),
        folds_(static_cast<std::size_t>(design.fold_count())),
        packed_(static_cast<std::size_t>(design.fold_count())) {
    const double smallest = *std::ranges::min_element(design.alphas);
    std::vector<Spectrum> spectra(folds_.size());
    if (design.offset.is_cuda() && has_values(design.offset)) {
      std::vector<at::Tensor> trained_on(folds_.size());
      for (std::size_t fold = 0; fold < trained_on.size(); ++fold) {
        trained_on[fold] = gram(static_cast<int64_t>(fold)).train;
      }
      spectra = spectra_on_gpu(trained_on);
    }
    in_full_rounds(design.fold_count(), design.offset, [&](int64_t fold) {
      const FoldGram gram = this->gram(fold);
      if (design.between) {
        design.between();
      }
      complete(spectra[static_cast<std::size_t>(fold)], gram,
               design.by_rows(fold) ? design.held_rows(fold, gram.mean) : at::Tensor(), smallest);
    });
    const bool single = design.single && std::ranges::all_of(spectra, [](const Spectrum& spectrum) {
                          return spectrum.growth <= single_precision_growth;
                        });
    work_in(single ? at::kFloat : at::kDouble);
    in_full_rounds(design.fold_count(), design.offset, [&](int64_t fold) {
      Spectrum& spectrum = spectra[static_cast<std::size_t>(fold)];
      folds_[static_cast<std::size_t>(fold)] = eigen_fold(gram(fold), spectrum, design, type());
      spectrum = {};
      EigenFold& made = folds_[static_cast<std::size_t>(fold)];
      if (made.held_rows.defined() && tiles_pay(made.held_rows)) {
        packed_[static_cast<std::size_t>(fold)].emplace(made);
        made = {};
      }
    });
  }

  HeldOutSums held_out(int64_t number, const Tile& tile) const override {
    if (const std::optional<PackedFold>& packed = packed_[static_cast<std::size_t>(number)]) {
      return packed->sums(tile, design().held_out(number),
                          design().intercept ? tile.training_mean(number).to(type()) : at::Tensor());
    }
    const EigenFold& fold = folds_[static_cast<std::size_t>(number)];
    const int64_t p = fold.divided.size(0);
    const at::Tensor buffer = tile.scratch({5, p, tile.targets()}, fold.divided.options());
    at::Tensor c = buffer[0];
    at::Tensor held = buffer[1];
    at::Tensor far = buffer[2];
    if (fold.held_rows.defined()) {
      at::mm_out(held, fold.held_rows.t(), take_rows(tile.rows(), design().held_out(number)).to(type()));
      at::mm_out(c, fold.to_basis, tile.products(type()));
    } else {
      const at::Tensor& products = tile.fold_products(type());
      at::mm_out(held, fold.to_basis, products[number]);
      at::mm_out(c, fold.to_basis, products[design().fold_count()]);
    }
    c.sub_(held);
    if (design().intercept) {
      held.addr_(fold.held_sum, tile.training_mean(number).to(type()), 1, -1);
    }
    at::mm_out(far, fold.divided, c);
    for (const Band& band : fold.near) {
      const at::Tensor part = c.narrow(0, band.first_column, band.values.size(1));
      at::Tensor near = buffer[3].narrow(0, band.first_row, band.values.size(0));
      at::Tensor gap = buffer[4].narrow(0, band.first_row, band.values.size(0));
      at::mm_out(near, band.values, part);
      at::mm_out(gap, band.squared_gap, part);
    }
    const at::Tensor sums = kernels::fold_scores(buffer, fold.weights);
    return {sums[0].mul_(fold.scale), sums[1].mul_(fold.scale), sums[2]};
  }

 private:
  std::vector<EigenFold> folds_;  // empty where they are packed
  std::vector<std::optional<PackedFold>> packed_;
};

}  // namespace

std::unique_ptr<Problem> eigenbasis_problem(const Design& design, const std::shared_ptr<const FoldGrams>& grams) {
  return std::make_unique<EigenProblem>(design, grams);
}

}  // namespace brain2music::ridge
