// Tests which voxels follow features of music:
// encode TRAIN_X.npy TRAIN_Y.npy RUNS.npy TEST_X.npy TEST_Y.npy MODEL [ORDERS.npy]
// X holds (clips, windows, features), Y (clips, windows, voxels), RUNS.npy the run of each training clip. ORDERS.npy
// holds orders of the test clips to compare with, (orders, clips); 1000 are drawn without it. Written are
// MODEL-coef.npy (features, voxels), MODEL-scores.npy (Pearson's r), MODEL-p.npy and MODEL-p-max.npy (voxels).
#include <ATen/ops/rand.h>
#include <brain2music/encoding/permutation_test.h>
#include <brain2music/io/npy.h>
#include <brain2music/ridge/ridge_cv.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <set>
#include <stdexcept>
#include <string>

namespace b2m = brain2music;

namespace {

/// (clips, windows, columns) of a file.
at::Tensor clips_of(const std::string& path) {
  const at::Tensor clips = b2m::io::load_npy(path);
  if (clips.dim() != 3) {
    throw std::invalid_argument(path + " must hold (clips, windows, columns); got " + std::to_string(clips.dim()) +
                                " dimensions");
  }
  return clips;
}

/// Five folds of whole runs, or as many as there are runs. All windows of a clip are of its run.
b2m::ridge::Folds folds_of_runs(const std::string& path, int64_t clips, int64_t windows) {
  const at::Tensor runs = b2m::io::load_npy(path);
  if (runs.dim() != 1 || runs.size(0) != clips || !at::isIntegralType(runs.scalar_type(), /*includeBool=*/false)) {
    throw std::invalid_argument(path + " must hold a whole number for each of " + std::to_string(clips) + " clips");
  }
  const at::Tensor rows = runs.to(at::kLong).repeat_interleave(windows);
  const at::IntArrayRef groups(rows.const_data_ptr<int64_t>(), rows.numel());
  const std::set<int64_t> names(groups.begin(), groups.end());
  return b2m::ridge::group_folds(groups, std::min<int64_t>(5, std::ssize(names)));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7 && argc != 8) {
    std::fprintf(stderr, "usage: %s TRAIN_X.npy TRAIN_Y.npy RUNS.npy TEST_X.npy TEST_Y.npy MODEL [ORDERS.npy]\n",
                 argv[0]);
    return 2;
  }
  try {
    const at::Tensor x = clips_of(argv[1]);
    const at::Tensor y = clips_of(argv[2]);
    if (x.size(0) != y.size(0) || x.size(1) != y.size(1)) {
      throw std::invalid_argument("features and responses must have equal clips and windows");
    }
    const b2m::ridge::Folds folds = folds_of_runs(argv[3], x.size(0), x.size(1));
    const b2m::ridge::RidgeFit fit = b2m::ridge::ridge_cv(x.flatten(0, 1), y.flatten(0, 1), folds);

    const at::Tensor test_x = clips_of(argv[4]).to(fit.coef.scalar_type());
    const at::Tensor test_y = clips_of(argv[5]).to(fit.coef.scalar_type());
    // The order that sorts random numbers is a random order.
    const at::Tensor orders = argc == 8
                                  ? b2m::io::load_npy(argv[7])
                                  : at::rand({1000, test_y.size(0)}, at::kDouble).argsort(1, /*descending=*/false);
    const auto test = b2m::encoding::permutation_test(test_x, fit.coef, test_y, orders);

    const std::string model = argv[6];
    b2m::io::save_npy(model + "-coef.npy", fit.coef);
    b2m::io::save_npy(model + "-scores.npy", test.score);
    b2m::io::save_npy(model + "-p.npy", test.p);
    b2m::io::save_npy(model + "-p-max.npy", test.p_max);
    const auto count = [](const at::Tensor& which) { return which.sum().item<int64_t>(); };
    std::printf(
        "%ld voxels tested on %ld clips with %ld orders: P of 0.05 or less in %ld, in %ld by the largest score\n",
        count(test.p.isfinite()), test_y.size(0), orders.size(0), count(test.p.le(0.05)), count(test.p_max.le(0.05)));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
