#include "oracle.h"

#include <ATen/Context.h>
#include <ATen/ops/equal.h>

#include <cstdlib>
#include <stdexcept>

#include "brain2music/io/npy.h"
#include "brain2music/version.h"

std::filesystem::path oracle_path(const std::string& file) {
  const char* folder = std::getenv("B2M_ORACLE");
  if (folder == nullptr) {
    throw std::runtime_error("set B2M_ORACLE to the folder that oracle.py wrote (ctest does)");
  }
  return std::filesystem::path(folder) / file;
}

at::Tensor oracle(const std::string& name) { return brain2music::io::load_npy(oracle_path(name + ".npy")); }

std::vector<at::Device> devices() {
  std::vector<at::Device> all{at::kCPU};
  if (at::hasCUDA() && *brain2music::cuda_architectures() != '\0') {
    all.emplace_back(at::kCUDA);
  }
  return all;
}

bool identical(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && at::equal(a.cpu(), b.cpu());
}
