#include <ATen/TensorOperators.h>
#include <ATen/Version.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "brain2music/decoding/brain_decoder.h"
#include "brain2music/ridge/banded_ridge_cv.h"
#include "brain2music/ridge/batched_ridge_cv.h"
#include "brain2music/ridge/fit.h"
#include "brain2music/ridge/fold_statistics.h"
#include "brain2music/ridge/folds.h"
#include "brain2music/ridge/kernel_ridge_cv.h"
#include "brain2music/ridge/padded_problems.h"
#include "brain2music/ridge/panel_product.h"
#include "brain2music/ridge/ridge.h"
#include "brain2music/ridge/ridge_cv.h"
#include "catch.h"
#include "oracle.h"
#include "wide_tiles.h"

namespace ridge = brain2music::ridge;

namespace {

at::Tensor with_ones(const at::Tensor& x) { return at::cat({x, at::ones({x.size(0), 1}, x.options())}, 1); }

bool close(const at::Tensor& a, const at::Tensor& b, double tolerance) {
  return at::allclose(a.to(at::kDouble).cpu(), b.to(at::kDouble).cpu(), tolerance, tolerance);
}

}  // namespace

TEST_CASE("ridge_cv equals a loop of scikit-learn's Ridge", "[ridge][cuda]") {
  ridge::RidgeOptions options;
  options.alphas = {0.1, 1, 10, 100, 1000};
  options.keep_path = true;
  for (const at::Device device : devices()) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
      const double tolerance = type == at::kFloat ? 1e-5 : 1e-10;
      const at::Tensor x = oracle("ridge_x").to(device, type);
      const at::Tensor y = oracle("ridge_y").to(device, type);
      for (const auto solver :
           {ridge::Solver::automatic, ridge::Solver::eigenbasis, ridge::Solver::cholesky, ridge::Solver::kernel}) {
        options.solver = solver;
        const ridge::RidgeFit fit = ridge::ridge_cv(x, y, ridge::k_folds(x.size(0), 5), options);
        CHECK(close(fit.cv_path, oracle("ridge_path"), tolerance));
        CHECK(close(fit.best_alphas, oracle("ridge_alphas"), 1e-6));
        CHECK(close(fit.coef, oracle("ridge_coef"), tolerance));
        CHECK(close(fit.intercept, oracle("ridge_intercept"), tolerance));
        CHECK(fit.coef.device().type() == device.type());
      }
      const ridge::RidgeModel model = ridge::ridge(x, y, oracle("ridge_alphas").to(device));
      CHECK(close(model.coef, oracle("ridge_coef"), tolerance));
      CHECK(close(model.intercept, oracle("ridge_intercept"), tolerance));
      const auto fits = ridge::batched_ridge_cv({x, x.narrow(1, 0, 3), x}, y, ridge::k_folds(x.size(0), 5), options);
      CHECK(close(fits[2].coef, oracle("ridge_coef"), tolerance));
      CHECK(fits[1].coef.size(0) == 3);
    }
  }
}

TEST_CASE("factors give what eigenvectors give, whatever the sizes of blocks and tiles", "[ridge][cuda]") {
  constexpr int64_t n = 200;
  ridge::RidgeOptions options;
  options.keep_path = true;
  for (int i = -8; i < 16; ++i) {
    options.alphas.push_back(std::pow(2, i));
  }
  for (const at::Device device : devices()) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
      for (const int64_t p : {1, 7, 48, 53, 101, 130}) {  // of 101 and 130, rows held out are fewer than half
        for (const int64_t t : {1, 21}) {
          const auto scattered = [&](int64_t columns, double step) {
            const at::Tensor number = at::arange(1, n * columns + 1, at::kDouble);
            return at::sin(number.square().mul_(step)).view({n, columns});
          };
          const at::Tensor x = scattered(p, 0.137);
          const at::Tensor y = x.narrow(1, 0, 1) + scattered(t, 0.271);
          const ridge::Folds folds = ridge::k_folds(n, 5);
          options.solver = ridge::Solver::cholesky;
          const ridge::RidgeFit fit = ridge::ridge_cv(x.to(device, type), y.to(device, type), folds, options);
          options.solver = ridge::Solver::eigenbasis;
          const ridge::RidgeFit expected = ridge::ridge_cv(x, y, folds, options);
          const double tolerance = type == at::kFloat ? 2e-5 : 1e-9;
          CHECK(close(fit.cv_path, expected.cv_path, tolerance));
          CHECK(close(fit.cv_scores, expected.cv_scores, tolerance));
        }
      }
    }
  }
}

TEST_CASE("problems filled up to one size give what each gives alone", "[ridge][cuda]") {
  constexpr int64_t n = 60;
  const at::Tensor numbers = at::arange(1, n * 40 + 1, at::kDouble);
  const at::Tensor all = at::sin(numbers.square() * 0.137).view({n, 40}) + at::arange(40, at::kDouble) / 10;
  const at::Tensor targets = all.narrow(1, 0, 9) + 2 * at::cos(numbers.square() * 0.271).view({n, 40}).narrow(1, 0, 9);
  std::vector<ridge::RidgeOptions> variants(6);
  variants[0].alphas = {0.1, 1, 10, 100, 1000};
  variants[1].fit_intercept = false;  // penalties relative to each X
  variants[2].sample_weight = at::rsqrt(at::arange(1, n + 1, at::kDouble));
  variants[3].alpha_per_target = false;
  variants[4].scoring = ridge::Scoring::correlation;
  variants[5].refit = false;
  for (const at::Device device : devices()) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
      for (ridge::RidgeOptions options : variants) {
        options.keep_path = true;
        const ridge::Folds folds = ridge::k_folds(n, 4);  // of the larger problems, held-out rows are fewer
        const at::Tensor y = targets.to(device, type);
        std::vector<at::Tensor> xs;
        std::vector<ridge::Design> designs;
        for (const int64_t p : {3, 40, 1, 17}) {
          xs.push_back(all.narrow(1, 0, p).to(device, type));
          designs.push_back(ridge::checked_design(xs.back(), y, folds, options, "test"));
        }
        const std::vector<ridge::RidgeFit> fits = ridge::fit_padded(designs, y, options);
        const double tolerance = type == at::kFloat ? 2e-5 : 1e-9;
        for (std::size_t i = 0; i < xs.size(); ++i) {
          const ridge::RidgeFit alone = ridge::ridge_cv(xs[i], y, folds, options);
          CHECK(close(fits[i].alphas, alone.alphas, 1e-6));
          CHECK(close(fits[i].cv_path, alone.cv_path, tolerance));
          CHECK(close(fits[i].cv_scores, alone.cv_scores, tolerance));
          CHECK(close(fits[i].correlations, alone.correlations, tolerance));
          // Not where penalties are as good: in float32, or for the correlation with what one feature predicts.
          const at::Tensor same = fits[i].best == alone.best;
          CHECK((same.all().item<bool>() || type == at::kFloat || xs[i].size(1) == 1));
          CHECK(fits[i].at_lower_edge == alone.at_lower_edge);
          CHECK(fits[i].at_upper_edge == alone.at_upper_edge);
          CHECK(fits[i].coef.defined() == alone.coef.defined());
          CHECK((!alone.coef.defined() || close(fits[i].coef * same, alone.coef * same, tolerance)));
          CHECK((!alone.coef.defined() || close(fits[i].intercept * same, alone.intercept * same, tolerance)));
        }
      }
    }
  }
}

TEST_CASE("eigenbases in float32 give what they give in float64, whatever the sizes of tiles", "[ridge][cuda]") {
  constexpr int64_t n = 200;
  ridge::RidgeOptions options;
  options.keep_path = true;
  options.solver = ridge::Solver::eigenbasis;
  options.alphas = {8, 16, 64, 256, 1024, 1e5, 1e7};
  const auto scattered = [&](int64_t columns, double step) {
    const at::Tensor number = at::arange(1, n * columns + 1, at::kDouble);
    return at::sin(number.square().mul_(step)).view({n, columns});
  };
  ridge::Folds folds = ridge::k_folds(n, 4);
  folds.held_out[0] = at::arange(1, 140, 3, at::kLong);  // rows that others hold out as well, and not in one piece
  folds.held_out[1] = at::arange(50, 170, at::kLong);    // more than most matrices have columns
  for (const at::Device device : devices()) {
    for (const int64_t p : {48, 53, 101, 130, 300}) {
      for (const int64_t t : {1, 16, 21, 150}) {
        for (const bool intercept : {true, false}) {
          options.fit_intercept = intercept;
          const at::Tensor x = scattered(p, 0.137) + 0.1;
          const at::Tensor y = 3 * x.narrow(1, 0, 1) + scattered(t, 0.271) + 0.2;
          const ridge::RidgeFit expected = ridge::ridge_cv(x, y, folds, options);
          const at::Tensor single = y.to(device, at::kFloat);
          for (const at::Tensor& given : {single, single.t().contiguous().t()}) {
            const ridge::RidgeFit fit = ridge::ridge_cv(x.to(device, at::kFloat), given, folds, options);
            CHECK(close(fit.cv_path, expected.cv_path, 2e-5));
            CHECK(close(fit.coef, expected.coef, 1e-5));
          }
        }
      }
    }
  }
}

TEST_CASE("a fold trains on the rows that it names", "[ridge][cuda]") {
  constexpr int64_t n = 120;
  ridge::RidgeOptions options;
  options.alphas = {0.1, 1, 10, 100, 1000};
  options.keep_path = true;
  // Few rows that are neighbours, many that are not, all others, and rows that other folds hold out.
  const ridge::Folds folds{n,
                           {at::arange(30, 60), at::arange(1, n, 5), at::arange(20), at::arange(10, 50)},
                           {at::arange(25),
                            at::cat({at::arange(2, n, 5), at::arange(0, n, 5), at::arange(3, n, 5)}),
                            {},
                            at::arange(60, n)}};
  const ridge::Folds checked = ridge::checked_folds(folds, n, "test");
  CHECK(folds.has_gap(0));
  CHECK_FALSE(folds.has_gap(2));
  const auto scattered = [&](int64_t columns, double step) {
    const at::Tensor number = at::arange(1, n * columns + 1, at::kDouble);
    return at::sin(number.square().mul_(step)).view({n, columns});
  };
  for (const int64_t p : {3, 30, 90, 150}) {
    const at::Tensor x = scattered(p, 0.137) + 0.3;
    const at::Tensor y = 3 * x.narrow(1, 0, 1) + scattered(21, 0.271) - 2;
    at::Tensor path = at::zeros({5, 21}, at::kDouble);
    for (std::size_t fold = 0; fold < 4; ++fold) {
      const at::Tensor& test = folds.held_out[fold];
      const at::Tensor train = fold == 2 ? at::arange(20, n) : folds.trained_on[fold];
      const at::Tensor held = y.index_select(0, test);
      for (int64_t alpha = 0; alpha < 5; ++alpha) {
        const ridge::RidgeModel model =
            ridge::ridge(x.index_select(0, train), y.index_select(0, train),
                         at::full({21}, options.alphas[static_cast<std::size_t>(alpha)], at::kDouble));
        const at::Tensor left = held - at::mm(x.index_select(0, test), model.coef) - model.intercept;
        path[alpha].add_((1 - left.square().sum(0) / (held - held.mean(0)).square().sum(0)) / 4);
      }
    }
    for (const at::Device device : devices()) {
      for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
        const double tolerance = type == at::kFloat ? 2e-5 : 1e-9;
        const at::Tensor features = x.to(device, type);
        const at::Tensor targets = y.to(device, type);
        for (const auto solver : {ridge::Solver::eigenbasis, ridge::Solver::cholesky, ridge::Solver::kernel}) {
          options.solver = solver;
          const ridge::RidgeFit fit = ridge::ridge_cv(features, targets, folds, options);
          CHECK(close(fit.cv_path, path, tolerance));
          const ridge::RidgeModel model = ridge::ridge(features, targets, fit.best_alphas);
          CHECK(close(fit.coef, model.coef, tolerance));  // all rows are fitted
          CHECK(close(fit.intercept, model.intercept, tolerance));
        }
        const std::vector<ridge::Design> designs{
            ridge::checked_design(features.narrow(1, 0, 2), targets, checked, options, "test"),
            ridge::checked_design(features, targets, checked, options, "test")};
        CHECK(close(ridge::fit_padded(designs, targets, options)[1].cv_path, path, tolerance));
      }
    }
  }
}

TEST_CASE("rows of unequal weight, kernels and statistics give what rows give", "[ridge][cuda]") {
  ridge::RidgeOptions options;
  options.alphas = {0.1, 1, 10, 100, 1000};
  options.keep_path = true;
  options.sample_weight = oracle("ridge_weighted_weights");
  for (const at::Device device : devices()) {
    const at::Tensor x = oracle("ridge_x").to(device);
    const at::Tensor y = oracle("ridge_y").to(device);
    const ridge::Folds folds = ridge::k_folds(x.size(0), 5);
    for (const auto solver : {ridge::Solver::eigenbasis, ridge::Solver::cholesky, ridge::Solver::kernel}) {
      options.solver = solver;
      const ridge::RidgeFit fit = ridge::ridge_cv(x, y, folds, options);
      CHECK(close(fit.cv_path, oracle("ridge_weighted_path"), 1e-10));
    }
    options.solver = ridge::Solver::automatic;
    const ridge::RidgeFit fit = ridge::ridge_cv(x, y, folds, options);
    const ridge::RidgeFit dual = ridge::kernel_ridge_cv(at::mm(x, x.t()), y, folds, options);
    CHECK(close(dual.cv_path, fit.cv_path, 1e-9));
    CHECK(close(at::mm(at::mm(x, x.t()), dual.coef) + dual.intercept, at::mm(x, fit.coef) + fit.intercept, 1e-9));
    ridge::RidgeOptions without = options;
    without.sample_weight.reset();
    const ridge::RidgeFit of_sums =
        ridge::ridge_cv(ridge::fold_statistics(x, y, folds, options.sample_weight), without);
    CHECK(close(of_sums.cv_path, fit.cv_path, 1e-10));
    CHECK(close(of_sums.coef, fit.coef, 1e-10));
    CHECK(close(of_sums.intercept, fit.intercept, 1e-9));
    // Targets on a CPU, brought to where X shall be worked on.
    without.device = device;
    const ridge::RidgeFit streamed = ridge::ridge_cv(oracle("ridge_x"), oracle("ridge_y"), folds, without);
    CHECK(close(streamed.cv_path, oracle("ridge_path"), 1e-10));
    CHECK(streamed.coef.is_cpu());
  }
}

TEST_CASE("banded_ridge_cv equals all draws and penalties one by one", "[ridge][cuda]") {
  ridge::RidgeOptions options;
  options.alphas = {0.1, 1, 10, 100, 1000};
  for (const at::Device device : devices()) {
    const at::Tensor x = oracle("ridge_x").to(device);
    const at::Tensor y = oracle("ridge_y").to(device);
    for (const auto solver :
         {ridge::Solver::automatic, ridge::Solver::eigenbasis, ridge::Solver::cholesky, ridge::Solver::kernel}) {
      options.solver = solver;
      const ridge::BandedFit fit = ridge::banded_ridge_cv(
          x, oracle("ridge_banded_bands"), oracle("ridge_banded_gammas"), y, ridge::k_folds(x.size(0), 5), options);
      CHECK(close(fit.cv_scores, oracle("ridge_banded_scores"), 1e-10));
      CHECK(at::equal(fit.best_draw.cpu(), oracle("ridge_banded_draws")));
      CHECK(close(fit.coef, oracle("ridge_banded_coef"), 1e-9));
      CHECK(fit.coef.device().type() == device.type());
    }
  }
  CHECK_THROWS_WITH(
      ridge::banded_ridge_cv(oracle("ridge_x"), oracle("ridge_banded_bands"), at::zeros({2, 3}, at::kDouble),
                             oracle("ridge_y"), ridge::k_folds(oracle("ridge_x").size(0), 5), options),
      ContainsSubstring("a positive one in each draw"));
}

TEST_CASE("fold statistics are sums about provisional means, and add up", "[ridge][cuda]") {
  for (const at::Device device : devices()) {
    const at::Tensor x = oracle("ridge_x").to(device) + 100;
    const at::Tensor y = oracle("ridge_y").to(device) - 1000;
    const int64_t n = x.size(0);
    const ridge::Folds folds = ridge::k_folds(n, 3);
    const ridge::FoldStatistics all = ridge::fold_statistics(x, y, folds);
    CHECK(all.folds() == 3);
    CHECK(all.features() == x.size(1));
    const ridge::FoldStatistics raw = all.about(at::zeros_like(all.x_offset), at::zeros_like(all.y_offset));
    CHECK(close(raw.gram[3], at::mm(with_ones(x).t(), with_ones(x)), 1e-12));
    CHECK(close(raw.cross[3], at::mm(with_ones(x).t(), y), 1e-12));
    CHECK(close(raw.y_squares[3], y.square().sum(0), 1e-12));
    const at::Tensor first = at::arange(folds.held_out[0].numel());
    CHECK(close(raw.cross[0], at::mm(with_ones(x.narrow(0, 0, first.numel())).t(), y.narrow(0, 0, first.numel())),
                1e-12));

    // The same rows in two parts, of which each holds but some of the folds.
    const int64_t cut = folds.held_out[0].numel() + 5;
    const at::Tensor none = at::empty({0}, at::kLong);
    const ridge::Folds left{cut, {folds.held_out[0], at::arange(folds.held_out[0].numel(), cut), none}};
    const ridge::Folds right{n - cut, {none, at::arange(folds.held_out[1].numel() - 5), folds.held_out[2] - cut}};
    const ridge::FoldStatistics sum =
        ridge::fold_statistics(x.narrow(0, 0, cut), y.narrow(0, 0, cut), left) +
        ridge::fold_statistics(x.narrow(0, cut, n - cut), y.narrow(0, cut, n - cut), right);
    const ridge::FoldStatistics same = sum.about(all.x_offset, all.y_offset);
    CHECK(close(same.gram, all.gram, 1e-9));
    CHECK(close(same.cross, all.cross, 1e-9));
    CHECK(close(same.y_squares, all.y_squares, 1e-9));
    CHECK_THROWS_WITH(all + ridge::fold_statistics(x, y, ridge::k_folds(n, 4)), ContainsSubstring("equal folds"));
  }
}

TEST_CASE("folds hold out each row once", "[ridge]") {
  const ridge::Folds folds = ridge::k_folds(7, 3);
  CHECK(at::equal(folds.held_out[0], at::arange(3)));
  CHECK(at::equal(folds.held_out[2], at::arange(5, 7)));
  const std::vector<int64_t> groups{5, 5, 5, 1, 1, 9, 9, 2};
  const ridge::Folds whole = ridge::group_folds(groups, 2);
  CHECK(whole.held_out[0].numel() + whole.held_out[1].numel() == 8);
  CHECK(at::equal(whole.held_out[0], at::cat({at::arange(3), at::full({1}, 7, at::kLong)})));
  CHECK_THROWS_WITH(ridge::k_folds(3, 4), ContainsSubstring("got 4 folds of 3 rows"));
  CHECK_THROWS_WITH(ridge::group_folds(groups, 5), ContainsSubstring("got 5 folds of 4 groups"));
}

TEST_CASE("bad input of a ridge regression is named", "[ridge]") {
  const at::Tensor x = oracle("ridge_x").clone();
  const at::Tensor y = oracle("ridge_y");
  const ridge::Folds folds = ridge::k_folds(x.size(0), 5);
  CHECK_THROWS_WITH(ridge::ridge_cv(x, y.narrow(0, 0, 9), folds), ContainsSubstring("folds must be of the rows of X"));
  CHECK_THROWS_WITH(ridge::ridge_cv(x.narrow(0, 0, 9), y, folds), ContainsSubstring("equal rows"));
  CHECK_THROWS_WITH(ridge::ridge_cv(x, y, {x.size(0), {}}), ContainsSubstring("a fold or more; got 0"));
  ridge::Folds twice = folds;
  twice.held_out[1] = at::zeros({3}, at::kLong);
  CHECK_THROWS_WITH(ridge::ridge_cv(x, y, twice), ContainsSubstring("got row 0 twice in fold 1"));
  twice.held_out[1] = at::full({3}, 1000, at::kLong);
  CHECK_THROWS_WITH(ridge::ridge_cv(x, y, twice), ContainsSubstring("rows held out must lie in [0, "));
  ridge::Folds gap = folds;
  gap.trained_on = {at::arange(3, 9)};
  CHECK_THROWS_WITH(ridge::ridge_cv(x, y, gap), ContainsSubstring("what each of them trains on, or none; got 1 of 5"));
  gap.trained_on.resize(5);
  CHECK_THROWS_WITH(ridge::ridge_cv(x, y, gap), ContainsSubstring("rows that it holds out; got row 3 in fold 0"));
  gap.trained_on[0] = at::full({1}, x.size(0) - 1, at::kLong);
  CHECK_THROWS_WITH(ridge::ridge_cv(x, y, gap), ContainsSubstring("two rows or more to train on; got 1 in fold 0"));
  CHECK_THROWS_WITH(ridge::fold_statistics(x, y, gap), ContainsSubstring("must train on all rows that it does not"));
  gap.trained_on[0] = at::full({1}, x.size(0), at::kLong);
  CHECK_THROWS_WITH(ridge::ridge_cv(x, y, gap), ContainsSubstring("rows trained on must lie in [0, "));
  x[4][2] = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH(ridge::ridge_cv(x, y, folds), ContainsSubstring("got inf at row 4, column 2"));
}

TEST_CASE("a brain decoder finds the region that holds the targets", "[decoding][cuda]") {
  for (const at::Device device : devices()) {
    // Region 7 is the design of the oracle in every scan, region 3 something else.
    const at::Tensor x = oracle("ridge_x").to(device);
    const at::Tensor y = oracle("ridge_y").to(device).unsqueeze(1);
    const int64_t p = x.size(1);
    const at::Tensor brain = at::cat({x.flip(0), x}, 1).unsqueeze(1).repeat({1, 2, 1});
    const at::Tensor labels = at::cat({at::full({p}, 3, at::kLong), at::full({p}, 7, at::kLong)}).to(device);
    const at::Tensor members = at::ones({1, 2}, at::kBool).to(device);
    brain2music::decoding::DecoderOptions options{1, {0.1, 1, 10, 100, 1000}, 2, {}};
    const auto fit =
        brain2music::decoding::fit_brain_decoder(brain, y, members, labels, ridge::k_folds(x.size(0), 5), options);
    CHECK(fit.decoder.rois[0].label == 7);
    CHECK(close(fit.decoder.rois[0].alphas, oracle("ridge_alphas"), 1e-6));
    const at::Tensor expected = at::mm(x, oracle("ridge_coef").to(device)) + oracle("ridge_intercept").to(device);
    CHECK(close(fit.decoder.predict(brain).squeeze(1), expected, 1e-9));
    CHECK_THROWS_WITH(fit.decoder.predict(brain.narrow(2, 0, p)), ContainsSubstring("voxels of the fit"));
  }
}

TEST_CASE("panel products are those of matrices, in the same bits for vectors of 8 and of 16 numbers", "[ridge]") {
  constexpr int64_t rows = 6;
  constexpr int64_t columns = 16;
  std::vector<ridge::PanelKernel> kernels{ridge::panel_product, panel_product_wide};
#if defined(__x86_64__)
  if (std::string_view(at::get_cpu_capability()) == "AVX512") {
    kernels.push_back(ridge::panel_product_avx512);
  }
#endif
  for (const int64_t strips : {1, 2, 3, 16}) {
    for (const int64_t panels : {1, 2, 5}) {
      for (const int64_t depth : {1, 7, 300}) {
        INFO(strips << " strips, " << panels << " panels, depth " << depth);
        // Sums of n such products round by n * 2.4e-8 (a standard deviation); the largest of 8,000 lies at four of
        // them.
        const double rounding = 1e-6 + 2e-7 * static_cast<double>(depth);
        const at::Tensor left = at::randn({strips, depth, rows});
        const at::Tensor right = at::randn({panels, depth + 2, columns});  // of which a product reads the first rows
        const at::Tensor less = at::randn({panels, strips * rows + 1, columns});
        const at::Tensor before = at::randn(less.sizes());
        const at::Tensor exact = at::matmul(left.transpose(1, 2).reshape({strips * rows, depth}).to(at::kDouble),
                                            right.narrow(1, 0, depth).to(at::kDouble));
        for (const auto& [adds, subtracts] : {std::pair{false, false}, {false, true}, {true, false}, {true, true}}) {
          const auto computed = [&](ridge::PanelKernel kernel) {
            at::Tensor products = before.clone();
            kernel({left.const_data_ptr<float>(), right.const_data_ptr<float>(), right.stride(0),
                    products.mutable_data_ptr<float>(), products.stride(0),
                    subtracts ? less.const_data_ptr<float>() : nullptr, adds, strips, depth, panels});
            return products;
          };
          at::Tensor expected = before.to(at::kDouble);
          at::Tensor written = expected.narrow(1, 0, strips * rows);
          if (adds) {
            written += exact;
          } else {
            written.copy_(subtracts ? exact - less.narrow(1, 0, strips * rows).to(at::kDouble) : exact);
          }
          const at::Tensor narrow = computed(kernels[0]);
          CHECK(at::allclose(narrow.to(at::kDouble), expected, 0, rounding));
          for (const ridge::PanelKernel kernel : kernels) {
            CHECK(at::equal(computed(kernel), narrow));
          }
        }
      }
    }
  }
}
