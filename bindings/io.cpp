#include "brain2music/io/npy.h"

#include <pybind11/stl/filesystem.h>

#include <filesystem>

#include "arrays.h"

namespace brain2music::bindings {

void bind_io(py::module_& core) {
  auto io = core.def_submodule("io", "Files.");
  io.def(
      "load_npy", [](const std::filesystem::path& path) { return to_numpy(brain2music::io::load_npy(path)); },
      py::arg("path"), "Map a .npy file into memory.");
  io.def(
      "save_npy",
      [](const std::filesystem::path& path, const py::object& array) {
        const ArrayArgument argument(array, "io.save_npy");
        const py::gil_scoped_release unlocked;
        brain2music::io::save_npy(path, argument.tensor());
      },
      py::arg("path"), py::arg("array"), "Write an array as a .npy file, whole or not at all.");
}

}  // namespace brain2music::bindings
