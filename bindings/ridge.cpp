#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <vector>

#include "arrays.h"
#include "brain2music/check.h"
#include "brain2music/ridge/batched_ridge_cv.h"
#include "brain2music/ridge/folds.h"
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

}  // namespace

ridge::Folds folds_of(int64_t rows, const std::vector<py::object>& held_out) {
  ridge::Folds folds{rows, {}};
  for (const py::object& fold : held_out) {
    folds.held_out.push_back(ArrayArgument(fold, "ridge.folds").tensor().clone());
  }
  return folds;
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
      [](const py::object& x, const py::object& y, const std::vector<py::object>& held_out, const py::dict& named) {
        const ArrayArgument features(x, "ridge.RidgeCV");
        const ArrayArgument targets(y, "ridge.RidgeCV");
        const ridge::RidgeOptions options = ridge_options(named);
        const ridge::Folds folds = folds_of(targets.tensor().dim() > 0 ? targets.tensor().size(0) : 0, held_out);
        ridge::RidgeFit fit;
        {
          const py::gil_scoped_release unlocked;
          fit = ridge::ridge_cv(features.tensor(), targets.tensor(), folds, options);
        }
        return fit_dict(fit, targets);
      },
      py::arg("x"), py::arg("y"), py::arg("held_out"), py::arg("options"),
      "Ridge regression of (n, t) targets on (n, p) features.");
  room.def(
      "batched_ridge_cv",
      [](const std::vector<py::object>& xs, const py::object& y, const std::vector<py::object>& held_out,
         const py::dict& named) {
        std::vector<at::Tensor> features;
        features.reserve(xs.size());
        for (const py::object& x : xs) {
          features.push_back(ArrayArgument(x, "ridge.BatchedRidgeCV").tensor());
        }
        const ArrayArgument targets(y, "ridge.BatchedRidgeCV");
        const ridge::RidgeOptions options = ridge_options(named);
        const ridge::Folds folds = folds_of(targets.tensor().dim() > 0 ? targets.tensor().size(0) : 0, held_out);
        std::vector<ridge::RidgeFit> fits;
        {
          const py::gil_scoped_release unlocked;
          fits = ridge::batched_ridge_cv(features, targets.tensor(), folds, options);
        }
        std::vector<py::dict> results;
        results.reserve(fits.size());
        for (const ridge::RidgeFit& fit : fits) {
          results.push_back(fit_dict(fit, targets));
        }
        return results;
      },
      py::arg("xs"), py::arg("y"), py::arg("held_out"), py::arg("options"),
      "Many ridge regressions that share their targets.");
}

}  // namespace brain2music::bindings
