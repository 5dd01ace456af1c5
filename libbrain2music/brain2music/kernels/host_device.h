#pragma once

/// Arithmetic shared by CPU and GPU is written once, marked B2M_HOST_DEVICE, in headers that include no torch header
/// (nvcc then compiles a kernel in one second instead of thirty). The CPU tests so run the very lines that a GPU runs.
#if defined(__CUDACC__)
#define B2M_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define B2M_HOST_DEVICE inline
#endif
