// Takes the drift out of one fMRI run: detrend IN.npy OUT.npy [TR in seconds]
// IN.npy holds (scans, voxels); OUT.npy becomes each voxel minus its running median of 240 s.
#include <brain2music/io/npy.h>
#include <brain2music/signal/detrend.h>
#include <brain2music/version.h>

#include <cstdio>
#include <exception>
#include <string>

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: %s IN.npy OUT.npy [TR in seconds]\n", argv[0]);
    return 2;
  }
  try {
    const double tr = argc == 4 ? std::stod(argv[3]) : 1.5;
    const at::Tensor bold = brain2music::io::load_npy(argv[1]);
    brain2music::io::save_npy(argv[2], brain2music::signal::median_detrend(bold, tr, 240.0));
    std::printf("brain2music %s: detrended %ld scans of %ld voxels\n", brain2music::version(), bold.size(0),
                bold.size(1));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
