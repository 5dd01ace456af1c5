#include <pybind11/stl/filesystem.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "brain2music/retrieval/index.h"

namespace brain2music::bindings {
namespace {

using retrieval::Index;
using retrieval::IndexSource;
using Skipped = std::vector<std::pair<std::string, std::string>>;

py::tuple search(const Index& index, const py::object& embedding, int64_t k) {
  const ArrayArgument queries(embedding, "retrieval.Index.search");
  kernels::TopK best;
  {
    const py::gil_scoped_release unlocked;
    best = index.search(queries.tensor(), k);
  }
  return py::make_tuple(queries.like_input(best.scores), queries.like_input(best.indices));
}

Index index_of(const py::object& embeddings, std::vector<std::string> ids, const std::string& bundle_hash,
               const std::string& role, double window, double hop, double seconds, std::vector<std::string> files,
               const Skipped& skipped, const std::string& network_hash) {
  const ArrayArgument vectors(embeddings, "retrieval.Index");
  IndexSource source{bundle_hash, role, window, hop, seconds, std::move(files), {}, network_hash};
  for (const auto& [file, reason] : skipped) {
    source.skipped.push_back({file, reason});
  }
  const py::gil_scoped_release unlocked;
  return {vectors.tensor(), std::move(ids), std::move(source)};
}

Skipped skipped_of(const Index& index) {
  Skipped skipped;
  for (const auto& [file, reason] : index.source().skipped) {
    skipped.emplace_back(file, reason);
  }
  return skipped;
}

template <auto member>
auto source(const Index& index) {
  return index.source().*member;
}

}  // namespace

void bind_retrieval(py::module_& core) {
  auto room = core.def_submodule("retrieval", "The music library to retrieve from.");
  py::class_<Index>(room, "Index", "Unit vectors and their ids, searched by cosine.")
      .def(py::init(&index_of), py::arg("embeddings"), py::arg("ids"), py::arg("bundle_hash") = "",
           py::arg("role") = "", py::arg("window") = 0.0, py::arg("hop") = 0.0, py::arg("seconds") = 0.0,
           py::arg("files") = std::vector<std::string>{}, py::arg("skipped") = Skipped{}, py::arg("network_hash") = "")
      .def_static("open", &Index::open, py::arg("folder"), py::arg("verify") = false,
                  py::call_guard<py::gil_scoped_release>(), "Map an index that save() wrote.")
      .def("save", &Index::save, py::arg("folder"), py::call_guard<py::gil_scoped_release>(),
           "Write the index into a new folder.")
      .def("search", &search, py::arg("embedding"), py::arg("k") = 10,
           "Most similar items of (q, d) or (q, r, d): (scores (q, k), indices (q, k)).")
      .def_property_readonly("vectors", [](const Index& index) { return to_numpy(index.vectors()); })
      .def_property_readonly("ids", &Index::ids)
      .def_property_readonly("skipped", &skipped_of)
      .def_property_readonly("files", &source<&IndexSource::files>)
      .def_property_readonly("bundle_hash", &source<&IndexSource::bundle_hash>)
      .def_property_readonly("role", &source<&IndexSource::role>)
      .def_property_readonly("network_hash", &source<&IndexSource::network_hash>)
      .def_property_readonly("window", &source<&IndexSource::window>)
      .def_property_readonly("hop", &source<&IndexSource::hop>)
      .def_property_readonly("seconds", &source<&IndexSource::seconds>);
}

}  // namespace brain2music::bindings
