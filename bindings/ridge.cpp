#include <pybind11/stl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "brain2music/check.h"
#include "brain2music/ridge/banded_ridge_cv.h"
#include "brain2music/ridge/batched_ridge_cv.h"
#include "brain2music/ridge/fold_statistics.h"
#include "brain2music/ridge/folds.h"
#include "brain2music/ridge/kernel_ridge_cv.h"
#include "brain2music/ridge/ridge_cv.h"
#include "ridge_options.h"

namespace brain2music::bindings {
namespace {

ridge::Scoring scoring_named(const std::string& name) {
  require(name == "r2" || name == "correlation", "ridge", "scoring must be 'r2' or 'correlation'; got '", name, "'");
  return name == "r2" ? ridge::Scoring::r2 : ridge::Scoring::correlation;
}

ridge::Solver solver_named(const std::string& name) {
  for (const auto solver :
       {ridge::Solver::automatic, ridge::Solver::eigenbasis, ridge::Solver::cholesky, ridge::Solver::kernel}) {
    if (ridge::solver_name(solver) == name) {
      return solver;
    }
  }
  throw std::invalid_argument(
      error_message("ridge", "solver must be 'auto', 'eigenbasis', 'cholesky' or 'kernel'; got '", name, "'"));
}

/// Tells a Python function (done, of), and stops when Ctrl-C was pressed, which only the main thread is told.
std::function<void(int64_t, int64_t)> told(const py::object& function) {
  // Copied from threads that do not hold the interpreter lock: by pointer.
  const std::shared_ptr<py::object> shared(new py::object(function), [](py::object* held) {
    const py::gil_scoped_acquire locked;
    delete held;
  });
  return [shared](int64_t done, int64_t of) {
    const py::gil_scoped_acquire locked;
    if (PyErr_CheckSignals() != 0) {
      throw py::error_already_set();
    }
    if (of > 0 && !shared->is_none()) {
      (*shared)(done, of);
    }
  };
}

template <class Work>
auto unlocked(const Work& work) {
  const py::gil_scoped_release released;
  return work();
}

ridge::Folds folds_like(const ArrayArgument& targets, const std::vector<py::object>& folds) {
  return folds_of(targets.tensor().dim() > 0 ? targets.tensor().size(0) : 0, folds);
}

void bind_statistics(py::module_& room) {
  using ridge::FoldStatistics;
  py::class_<FoldStatistics>(room, "FoldStatistics", "Sums over the rows that each fold holds out.")
      .def(py::init([](const at::Tensor& x_offset, const at::Tensor& y_offset, const at::Tensor& gram,
                       const at::Tensor& cross, const at::Tensor& y_squares) {
             return FoldStatistics{x_offset, y_offset, gram, cross, y_squares};
           }),
           py::arg("x_offset"), py::arg("y_offset"), py::arg("gram"), py::arg("cross"), py::arg("y_squares"))
      .def_readonly("x_offset", &FoldStatistics::x_offset)
      .def_readonly("y_offset", &FoldStatistics::y_offset)
      .def_readonly("gram", &FoldStatistics::gram)
      .def_readonly("cross", &FoldStatistics::cross)
      .def_readonly("y_squares", &FoldStatistics::y_squares)
      .def(
          "add", [](FoldStatistics& self, const FoldStatistics& other) { unlocked([&] { return self += other; }); },
          py::arg("other"), "Add statistics of other rows, in place.");
  room.def(
      "fold_statistics",
      [](const py::object& x, const py::object& y, const std::vector<py::object>& held_out,
         const py::object& sample_weight) {
        const ArrayArgument features(x, "ridge.FoldStatistics");
        const ArrayArgument targets(y, "ridge.FoldStatistics");
        const at::Tensor weights =
            sample_weight.is_none() ? at::Tensor() : ArrayArgument(sample_weight, "ridge.FoldStatistics").tensor();
        const ridge::Folds folds = folds_like(targets, held_out);
        return unlocked([&] { return ridge::fold_statistics(features.tensor(), targets.tensor(), folds, weights); });
      },
      py::arg("x"), py::arg("y"), py::arg("held_out"), py::arg("sample_weight") = py::none(),
      "Statistics of (n, p) features and (n, t) targets.");
  room.def(
      "ridge_cv_of_statistics",
      [](const FoldStatistics& statistics, const py::object& like, const py::dict& named) {
        const ridge::RidgeOptions options = ridge_options(named);
        const ridge::RidgeFit fit = unlocked([&] { return ridge::ridge_cv(statistics, options); });
        return fit_dict(fit, ArrayArgument(like, "ridge.RidgeCV"));
      },
      py::arg("statistics"), py::arg("like"), py::arg("options"),
      "Ridge regression from statistics; arrays of the kind of `like`.");
}

}  // namespace

ridge::Folds folds_of(int64_t rows, const std::vector<py::object>& folds) {
  const auto indices = [](const py::object& some) { return ArrayArgument(some, "ridge.folds").tensor().clone(); };
  ridge::Folds result{rows, {}};
  for (const py::object& fold : folds) {
    if (py::isinstance<py::tuple>(fold)) {
      const auto [train, test] = fold.cast<std::pair<py::object, py::object>>();
      result.held_out.push_back(indices(test));
      result.trained_on.push_back(indices(train));
    } else {
      result.held_out.push_back(indices(fold));
      result.trained_on.emplace_back();
    }
  }
  return result;
}

ridge::RidgeOptions ridge_options(const py::dict& named) {
  ridge::RidgeOptions options;
  for (const auto& [key, value] : named) {
    const auto name = key.cast<std::string>();
    if (name == "alphas") {
      options.alphas = value.cast<std::vector<double>>();
    } else if (name == "fit_intercept") {
      options.fit_intercept = value.cast<bool>();
    } else if (name == "scoring") {
      options.scoring = scoring_named(value.cast<std::string>());
    } else if (name == "solver") {
      options.solver = solver_named(value.cast<std::string>());
    } else if (name == "alpha_per_target") {
      options.alpha_per_target = value.cast<bool>();
    } else if (name == "keep_path") {
      options.keep_path = value.cast<bool>();
    } else if (name == "keep_predictions") {
      options.keep_predictions = value.cast<bool>();
    } else if (name == "refit") {
      options.refit = value.cast<bool>();
    } else if (name == "memory_limit") {
      options.memory_limit = value.cast<int64_t>();
    } else if (name == "device") {
      options.device = at::Device(value.cast<std::string>());
    } else if (name == "sample_weight") {
      options.sample_weight = ArrayArgument(py::reinterpret_borrow<py::object>(value), "ridge").tensor();
    } else if (name == "on_progress") {
      options.on_progress = told(py::reinterpret_borrow<py::object>(value));
    } else {
      throw py::type_error(error_message("ridge", "an option of ridge regression is expected; got '", name, "'"));
    }
  }
  return options;
}

py::dict fit_dict(const ridge::RidgeFit& fit, const ArrayArgument& like) {
  py::dict result;
  const auto put = [&](const char* name, const at::Tensor& tensor) {
    if (tensor.defined()) {
      result[name] = like.like_input(tensor);
    }
  };
  put("alphas", fit.alphas);
  put("best", fit.best);
  put("best_alphas", fit.best_alphas);
  put("cv_scores", fit.cv_scores);
  put("correlations", fit.correlations);
  put("cv_path", fit.cv_path);
  put("predictions", fit.predictions);
  put("coef", fit.coef);
  put("intercept", fit.intercept);
  result["at_lower_edge"] = fit.at_lower_edge;
  result["at_upper_edge"] = fit.at_upper_edge;
  result["solver"] = ridge::solver_name(fit.solver);
  return result;
}

void bind_ridge(py::module_& core) {
  auto room = core.def_submodule("ridge", "Ridge regression with cross-validation.");
  room.def("default_alphas", &ridge::default_alphas, "Default penalties, relative to the mean eigenvalue of X'X.");
  room.def(
      "group_folds",
      [](const std::vector<int64_t>& groups, int64_t folds) {
        std::vector<py::object> held_out;
        for (const at::Tensor& rows : ridge::group_folds(groups, folds).held_out) {
          held_out.push_back(to_numpy(rows));
        }
        return held_out;
      },
      py::arg("groups"), py::arg("folds"), "Rows that each fold holds out: whole groups.");
  room.def(
      "ridge_cv",
      [](const py::object& x, const py::object& y, const std::vector<py::object>& named_folds, const py::dict& named) {
        const ArrayArgument features(x, "ridge.RidgeCV");
        const ArrayArgument targets(y, "ridge.RidgeCV");
        const ridge::RidgeOptions options = ridge_options(named);
        const ridge::Folds folds = folds_like(targets, named_folds);
        const ridge::RidgeFit fit =
            unlocked([&] { return ridge::ridge_cv(features.tensor(), targets.tensor(), folds, options); });
        return fit_dict(fit, targets);
      },
      py::arg("x"), py::arg("y"), py::arg("folds"), py::arg("options"),
      "Ridge regression of (n, t) targets on (n, p) features.");
  room.def(
      "batched_ridge_cv",
      [](const std::vector<py::object>& xs, const py::object& y, const std::vector<py::object>& named_folds,
         const py::dict& named) {
        std::vector<at::Tensor> features;
        features.reserve(xs.size());
        for (const py::object& x : xs) {
          features.push_back(ArrayArgument(x, "ridge.BatchedRidgeCV").tensor());
        }
        const ArrayArgument targets(y, "ridge.BatchedRidgeCV");
        const ridge::RidgeOptions options = ridge_options(named);
        const ridge::Folds folds = folds_like(targets, named_folds);
        const std::vector<ridge::RidgeFit> fits =
            unlocked([&] { return ridge::batched_ridge_cv(features, targets.tensor(), folds, options); });
        std::vector<py::dict> results;
        results.reserve(fits.size());
        for (const ridge::RidgeFit& fit : fits) {
          results.push_back(fit_dict(fit, targets));
        }
        return results;
      },
      py::arg("xs"), py::arg("y"), py::arg("folds"), py::arg("options"),
      "Many ridge regressions that share their targets.");
  room.def(
      "kernel_ridge_cv",
      [](const py::object& kernel, const py::object& y, const std::vector<py::object>& named_folds,
         const py::dict& named) {
        const ArrayArgument products(kernel, "ridge.KernelRidgeCV");
        const ArrayArgument targets(y, "ridge.KernelRidgeCV");
        const ridge::RidgeOptions options = ridge_options(named);
        const ridge::Folds folds = folds_like(targets, named_folds);
        const ridge::RidgeFit fit =
            unlocked([&] { return ridge::kernel_ridge_cv(products.tensor(), targets.tensor(), folds, options); });
        return fit_dict(fit, targets);
      },
      py::arg("kernel"), py::arg("y"), py::arg("folds"), py::arg("options"),
      "Ridge regression of (n, t) targets from (n, n) inner products.");
  room.def(
      "banded_ridge_cv",
      [](const py::object& x, const py::object& bands, const py::object& gammas, const py::object& y,
         const std::vector<py::object>& named_folds, const py::dict& named) {
        const ArrayArgument features(x, "ridge.BandedRidgeCV");
        const ArrayArgument of_columns(bands, "ridge.BandedRidgeCV");
        const ArrayArgument draws(gammas, "ridge.BandedRidgeCV");
        const ArrayArgument targets(y, "ridge.BandedRidgeCV");
        const ridge::RidgeOptions options = ridge_options(named);
        const ridge::Folds folds = folds_like(targets, named_folds);
        const ridge::BandedFit fit = unlocked([&] {
          return ridge::banded_ridge_cv(features.tensor(), of_columns.tensor(), draws.tensor(), targets.tensor(), folds,
                                        options);
        });
        py::dict result = fit_dict(fit, targets);
        result["best_draw"] = targets.like_input(fit.best_draw);
        return result;
      },
      py::arg("x"), py::arg("bands"), py::arg("gammas"), py::arg("y"), py::arg("folds"), py::arg("options"),
      "Ridge regression with a penalty for each band of features.");
  bind_statistics(room);
}

}  // namespace brain2music::bindings
