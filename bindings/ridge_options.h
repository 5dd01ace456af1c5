#pragma once

#include <cstdint>
#include <vector>

#include "arrays.h"
#include "brain2music/ridge/folds.h"
#include "brain2music/ridge/options.h"

namespace brain2music::bindings {

/// Folds from one array of row indices each.
ridge::Folds folds_of(int64_t rows, const std::vector<py::object>& held_out);

/// Options by the names of their fields, choices by theirs in Python.
ridge::RidgeOptions ridge_options(const py::dict& named);

/// A fit's arrays, of the kind of `like`, by name.
py::dict fit_dict(const ridge::RidgeFit& fit, const ArrayArgument& like);

}  // namespace brain2music::bindings
