#include "arrays.h"
#include "brain2music/version.h"

PYBIND11_MODULE(_core, core) {
  namespace b2m = brain2music;
  core.doc() = "The C++ library: one submodule per room. Users want the modules of brain2music instead.";
  core.def("version", &b2m::version, "Version of the C++ library.");
  core.def("torch_version", &b2m::torch_version, "Version of torch that the C++ library was built with.");
  core.def("cuda_architectures", &b2m::cuda_architectures,
           "CUDA architectures that the kernels were compiled for; empty in a CPU build.");
  b2m::bindings::bind_audio(core);
  b2m::bindings::bind_decoding(core);
  b2m::bindings::bind_encoding(core);
  b2m::bindings::bind_io(core);
  b2m::bindings::bind_kernels(core);
  b2m::bindings::bind_metrics(core);
  b2m::bindings::bind_models(core);
  b2m::bindings::bind_embedding(core);   // it takes a Bundle
  b2m::bindings::bind_generation(core);  // so does this
  b2m::bindings::bind_ridge(core);
  b2m::bindings::bind_retrieval(core);
  b2m::bindings::bind_signal(core);
}
