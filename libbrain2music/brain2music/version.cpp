#include "brain2music/version.h"

namespace brain2music {

const char* version() { return BRAIN2MUSIC_VERSION; }

const char* torch_version() { return B2M_TORCH_VERSION; }

const char* cuda_architectures() { return B2M_CUDA_ARCHITECTURES; }

}  // namespace brain2music
