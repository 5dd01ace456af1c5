// Fits a ridge regression and keeps it: ridge X.npy Y.npy MODEL [FOLDS]
// X.npy holds (rows, features), Y.npy (rows, targets); written are MODEL-coef.npy (features, targets),
// MODEL-intercept.npy, MODEL-alphas.npy and MODEL-scores.npy (targets).
#include <brain2music/io/npy.h>
#include <brain2music/ridge/ridge_cv.h>

#include <cstdio>
#include <exception>
#include <string>

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) {
    std::fprintf(stderr, "usage: %s X.npy Y.npy MODEL [FOLDS]\n", argv[0]);
    return 2;
  }
  try {
    namespace b2m = brain2music;
    const at::Tensor x = b2m::io::load_npy(argv[1]);
    const at::Tensor y = b2m::io::load_npy(argv[2]);
    const int64_t folds = argc == 5 ? std::stol(argv[4]) : 5;
    const b2m::ridge::RidgeFit fit = b2m::ridge::ridge_cv(x, y, b2m::ridge::k_folds(x.size(0), folds));
    const std::string model = argv[3];
    b2m::io::save_npy(model + "-coef.npy", fit.coef);
    b2m::io::save_npy(model + "-intercept.npy", fit.intercept);
    b2m::io::save_npy(model + "-alphas.npy", fit.best_alphas);
    b2m::io::save_npy(model + "-scores.npy", fit.cv_scores);
    std::printf("%ld targets on %ld features by %s: mean held-out R2 %.3f\n", fit.coef.size(1), fit.coef.size(0),
                b2m::ridge::solver_name(fit.solver).c_str(), fit.cv_scores.mean().item<double>());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
