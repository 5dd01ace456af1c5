#include "brain2music/ridge/solvers.h"

namespace brain2music::ridge {

std::unique_ptr<Problem> make_problem(Solver solver, const Design& design,
                                      const std::shared_ptr<const FoldGrams>& grams) {
  switch (solver) {
    case Solver::kernel:
      return kernel_problem(design);
    case Solver::cholesky:
      return cholesky_problem(design, grams);
    default:
      return eigenbasis_problem(design, grams);
  }
}

}  // namespace brain2music::ridge
