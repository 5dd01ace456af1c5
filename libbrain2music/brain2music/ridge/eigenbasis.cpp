#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/any.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
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
#include <utility>
#include <vector>

#include "brain2music/device/overlapped.h"
#include "brain2music/kernels/fold_scores.h"
#include "brain2music/ridge/eigen_fold.h"
#include "brain2music/ridge/gram_problem.h"
#include "brain2music/ridge/packed_fold.h"
#include "brain2music/ridge/packed_gram.h"
#include "brain2music/ridge/plan.h"
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

/// x'x, float64.
at::Tensor gram_of(const at::Tensor& x) {
  if (!x.is_cpu() || !has_values(x)) {
    return at::mm(x.t(), x);
  }
  at::Tensor sum = at::zeros({x.size(1), x.size(1)}, x.options());
  add_packed_gram(x, sum);  // half the products
  return sum;
}

/// What is not there yet of a spectrum.
/// @param gram the held-out Gram matrix, if `rows` is undefined.
/// @param rows held-out rows (rows, p), centred, where they are fewer than columns.
void complete(Spectrum& spectrum, const at::Tensor& gram, const at::Tensor& rows, double smallest) {
  spectrum.values = spectrum.values.clamp_min(0);
  if (rows.defined()) {
    spectrum.held_rows = at::mm(rows, spectrum.basis);
    spectrum.held_out = gram_of(spectrum.held_rows);
  } else {
    spectrum.held_out = at::mm(at::mm(spectrum.basis.t(), gram), spectrum.basis);
  }
  const at::Tensor penalised = spectrum.values + smallest;
  const at::Tensor growth = at::sqrt(penalised[-1] * at::sum(spectrum.held_out.diagonal().abs() / penalised.square()));
  spectrum.growth = has_values(growth) ? growth.item<double>() : 1.0;
}

/// Fills in the held-out Gram matrix, divided by distances of eigenvalues but where these are near.
/// @param penalised eigenvalues (p,) and the smallest penalty.
void divide(const Spectrum& spectrum, const at::Tensor& penalised, EigenFold& fold) {
  const at::Tensor& values = spectrum.values;
  const int64_t p = values.numel();
  const bool real = has_values(values);
  const at::ScalarType type = fold.to_basis.scalar_type();
  const double share = type == at::kFloat ? near_single : near_double;
  const int64_t band = values.is_cuda() ? band_rows_on_gpu : band_rows;
  // A CPU keeps what it works on in its cache; a GPU is asked for little at a time as seldom as possible.
  const int64_t step = values.is_cuda() ? p : band;
  fold.divided = at::empty({p, p}, fold.to_basis.options());
  for (int64_t top = 0; top < p; top += step) {
    const int64_t height = std::min(step, p - top);
    const auto of_rows = [&](const at::Tensor& x) { return x.narrow(0, top, height); };
    const at::Tensor gap = (values.unsqueeze(0) - of_rows(values).unsqueeze(1)) / fold.scale;
    const at::Tensor bound =
        at::minimum(penalised.unsqueeze(0), of_rows(penalised).unsqueeze(1)) * (share / fold.scale);
    const at::Tensor near = gap.abs() <= bound;
    const at::Tensor held_out = of_rows(spectrum.held_out);
    of_rows(fold.divided).copy_(at::where(near, at::zeros({}, gap.options()), held_out / gap));
    const at::Tensor values_near = held_out * near;
    const at::Tensor squared = values_near * gap.square();
    const at::Tensor where_near = real ? near.cpu() : at::ones({height, p}, at::kBool);
    for (int64_t row = 0; row < height; row += band) {
      const int64_t rows = std::min(band, height - row);
      const at::Tensor columns = at::nonzero(at::any(where_near.narrow(0, row, rows), 0)).squeeze(1);
      const auto first = columns[0].item<int64_t>();
      const int64_t count = columns[-1].item<int64_t>() - first + 1;
      const auto part = [&](const at::Tensor& m) { return m.narrow(0, row, rows).narrow(1, first, count).to(type); };
      fold.near.push_back({top + row, first, part(values_near), part(squared)});
    }
  }
}

/// @param mean     (p,): of the rows that are trained on.
/// @param held_sum (p,): of held-out rows, centred.
EigenFold eigen_fold(const Spectrum& spectrum, const at::Tensor& mean, const at::Tensor& held_sum, const Design& design,
                     at::ScalarType type) {
  const std::vector<double>& alphas = design.alphas;
  EigenFold fold;
  const at::Tensor& values = spectrum.values;
  const at::Tensor penalised = values + *std::ranges::min_element(alphas);
  fold.scale = has_values(values) ? penalised[-1].item<double>() : 1.0;
  const at::Tensor basis = design.scaled(spectrum.basis);  // takes unscaled products
  const at::Tensor to_mean = at::mv(basis.t(), mean).neg_().unsqueeze(1);
  fold.to_basis = (at::cat({basis.t(), to_mean}, 1) / fold.scale).to(type);
  if (spectrum.held_rows.defined()) {
    fold.held_rows = (spectrum.held_rows / fold.scale).to(type);
  }
  const at::Tensor sum = at::mv(spectrum.basis.t(), held_sum) / fold.scale;
  fold.held_sum = sum.to(type);
  const at::Tensor all = at::tensor(alphas, at::kDouble).to(values.device()).unsqueeze(1);
  const at::Tensor weights = fold.scale / (values + all);
  const at::Tensor largest = values[-1];
  const at::Tensor differences = weights * (largest - values) / (largest + all);
  fold.weights =
      at::stack({weights * sum, weights, differences * 2, weights.square(), weights.square().square() / -2}).to(type);
  divide(spectrum, penalised, fold);
  return fold;
}

class EigenProblem final : public GramProblem {
 public:
  EigenProblem(const Design& design, const std::shared_ptr<const FoldGrams>& grams)
      : GramProblem(design, grams),
        folds_(static_cast<std::size_t>(design.fold_count())),
        packed_(static_cast<std::size_t>(design.fold_count())) {
    std::vector<Spectrum> spectra = this->spectra();
    const bool single = design.single && std::ranges::all_of(spectra, [](const Spectrum& spectrum) {
                          return spectrum.growth <= single_precision_growth;
                        });
    work_in(single ? at::kFloat : at::kDouble);
    in_full_rounds(design.fold_count(), design.offset, [&](int64_t fold) {
      Spectrum& spectrum = spectra[static_cast<std::size_t>(fold)];
      EigenFold& made = folds_[static_cast<std::size_t>(fold)];
      made = eigen_fold(spectrum, mean(fold), held_sum(fold), design, type());
      spectrum = {};
      if (packs(made)) {
        packed_[static_cast<std::size_t>(fold)].emplace(made, made.held_rows.defined() ? nullptr : held_out_rows());
        made = {};
      }
    });
  }

  HeldOutSums held_out(int64_t number, const Tile& tile) const override {
    const bool has_gap = design().folds.has_gap(number);
    if (const std::optional<PackedFold>& packed = packed_[static_cast<std::size_t>(number)]) {
      return packed->sums(tile, number, design().held_out(number),
                          design().intercept ? tile.training_mean(number).to(type()) : at::Tensor(),
                          has_gap ? tile.training_products(number, type()) : at::Tensor());
    }
    const EigenFold& fold = folds_[static_cast<std::size_t>(number)];
    const int64_t p = fold.divided.size(0);
    const at::Tensor buffer = tile.scratch({5, p, tile.targets()}, fold.divided.options());
    at::Tensor c = buffer[0];
    at::Tensor held = buffer[1];
    at::Tensor far = buffer[2];
    if (fold.held_rows.defined()) {
      at::mm_out(held, fold.held_rows.t(), take_rows(tile.rows(), design().held_out(number)).to(type()));
    } else {
      at::mm_out(held, fold.to_basis, tile.fold_products(type())[number]);
    }
    if (has_gap) {
      at::mm_out(c, fold.to_basis, tile.training_products(number, type()));
    } else {
      at::mm_out(c, fold.to_basis, tile.products(type()));
      c.sub_(held);
    }
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
  /// Tells whether register tiles make the scores of a fold. They take its held-out rows, or else products with these.
  bool packs(const EigenFold& fold) const {
    return (fold.held_rows.defined() || packs_products(design())) && tiles_pay(fold.divided);
  }

  /// The rows that each fold holds out, as Tile::packed_fold_products() takes them. The first call packs them, from
  /// whichever thread it comes.
  std::shared_ptr<const std::vector<PackedLeft>> held_out_rows() {
    std::call_once(held_out_packed_, [&] {
      auto packed = std::make_shared<std::vector<PackedLeft>>();
      for (const at::Tensor& rows : design().folds.held_out) {
        packed->emplace_back(take_rows(design().rows->in(design().type), rows).t());
      }
      held_out_ = std::move(packed);
    });
    return held_out_;
  }

  std::vector<Spectrum> spectra() const {
    const Design& design = this->design();
    const double smallest = *std::ranges::min_element(design.alphas);
    std::vector<Spectrum> spectra(static_cast<std::size_t>(design.fold_count()));
    const bool on_gpu = design.offset.is_cuda() && has_values(design.offset);
    if (on_gpu) {
      std::vector<at::Tensor> trained_on(spectra.size());
      for (std::size_t fold = 0; fold < trained_on.size(); ++fold) {
        trained_on[fold] = train_gram(static_cast<int64_t>(fold));
      }
      spectra = spectra_on_gpu(trained_on);
    }
    in_full_rounds(design.fold_count(), design.offset, [&](int64_t fold) {
      if (design.between) {
        design.between();
      }
      Spectrum& spectrum = spectra[static_cast<std::size_t>(fold)];
      if (!on_gpu) {
        std::tie(spectrum.values, spectrum.basis) = at::linalg_eigh(train_gram(fold));
      }
      const bool by_rows = design.by_rows(fold);
      complete(spectrum, by_rows ? at::Tensor() : held_gram(fold),
               by_rows ? design.held_rows(fold, mean(fold)) : at::Tensor(), smallest);
    });
    return spectra;
  }

  std::vector<EigenFold> folds_;  // empty where they are packed
  std::vector<std::optional<PackedFold>> packed_;
  std::once_flag held_out_packed_;
  std::shared_ptr<const std::vector<PackedLeft>> held_out_;
};

}  // namespace

std::unique_ptr<Problem> eigenbasis_problem(const Design& design, const std::shared_ptr<const FoldGrams>& grams) {
  return std::make_unique<EigenProblem>(design, grams);
}

}  // namespace brain2music::ridge
