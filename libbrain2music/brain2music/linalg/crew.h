#pragma once

#include <c10/util/FunctionRef.h>

#include <cstdint>

#include "brain2music/export.h"

namespace brain2music::linalg {

/// Calls work(chunk) once for every chunk from 0 to chunks - 1, on as many threads as ATen uses, the caller's among
/// them. A step of generation asks for hundreds of small products: here a thread takes chunks as long as there are any,
/// and whoever comes late, because another process had its core, finds the work done and is not waited for. At the end
/// of a loop of OpenMP all threads wait for each other, each for its own share.
///
/// Chunks must not throw, and may run in any order. One caller at a time has the threads; others, and callers inside of
/// a parallel loop, do all chunks themselves.
B2M_API void share_out(int64_t chunks, c10::function_ref<void(int64_t chunk)> work);

/// While it lives, LibTorch's own operations run on one thread, and share_out() on as many as before. A step of
/// generation asks for hundreds of small operations; in each loop of OpenMP two threads wait for each other, and where
/// another process has one's core they wait for milliseconds.
class B2M_API CrewOnly {
 public:
  CrewOnly();
  ~CrewOnly();
  CrewOnly(const CrewOnly&) = delete;
  CrewOnly& operator=(const CrewOnly&) = delete;

 private:
  int before_;
};

}  // namespace brain2music::linalg
