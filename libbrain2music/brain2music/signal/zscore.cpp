#include "brain2music/signal/zscore.h"

#include "brain2music/kernels/standardize.h"
#include "brain2music/signal/bold.h"

namespace brain2music::signal {

at::Tensor zscore(const at::Tensor& bold, at::IntArrayRef run_lengths) {
  return kernels::standardize(checked_bold(bold, run_lengths, "signal.zscore"), run_lengths);
}

}  // namespace brain2music::signal
