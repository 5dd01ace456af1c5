#define CATCH_CONFIG_RUNNER
#include <ATen/Context.h>

#include <cstdio>
#include <string>

#include "brain2music/version.h"
#include "catch.h"

/// Catch's own main, but `[cuda]` without a GPU or without kernels says so and ends with 77, which ctest shows as
/// skipped. `--rng-seed` is the seed of the tests' random tensors, too.
int main(int argc, char** argv) {
  constexpr int skipped = 77;
  const bool kernels = *brain2music::cuda_architectures() != '\0';
  if (argc > 1 && std::string(argv[1]) == "[cuda]" && !(kernels && at::globalContext().hasCUDA())) {
    std::puts(kernels ? "skipped: no CUDA device here" : "skipped: this build has no CUDA kernels");
    return skipped;
  }
  Catch::Session session;
  if (const int refused = session.applyCommandLine(argc, argv); refused != 0) {
    return refused;
  }
  at::manual_seed(session.config().rngSeed());
  return session.run();
}
