#pragma once

#include <cstdint>
#include <vector>

#include "arrays.h"
#include "brain2music/ridge/folds.h"
#include "brain2music/ridge/options.h"

namespace brain2music::bindings {

/// Folds from a tuple of row indices (train, test) each, or from one array of held-out rows: all others are trained on.
ridge::Folds folds_of(int64_t rows, const std::vector<py::object>& folds);

/// Options by the names of their fields, choices by theirs in Python.
ridge::RidgeOptions ridge_options(const py::dict& named);

/// A fit's arrays, of the kind of `like`, by name.
py::dict fit_dict(const ridge::RidgeFit& fit, const ArrayArgument& like);

}  // namespace brain2music::bindings
