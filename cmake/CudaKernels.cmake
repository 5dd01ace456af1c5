# Decides whether the CUDA kernels are built (B2M_HAVE_CUDA) and with which nvcc, and makes b2m::torch_cuda.
#
# nvcc: a given one (CMAKE_CUDA_COMPILER, CUDACXX), else the one from PyPI beside torch, else one on the PATH.
set(B2M_HAVE_CUDA OFF)
set(_why "")

set(B2M_TORCH_CUDA_VERSION "")
if(EXISTS "${B2M_TORCH_ROOT}/version.py")
  file(STRINGS "${B2M_TORCH_ROOT}/version.py" _line REGEX "^cuda[^=]*= *'")
  string(REGEX MATCH "[0-9]+\\.[0-9]+" B2M_TORCH_CUDA_VERSION "${_line}")
endif()
string(REGEX MATCH "^[0-9]+" B2M_CUDA_MAJOR "${B2M_TORCH_CUDA_VERSION}")
cmake_path(GET B2M_TORCH_ROOT PARENT_PATH _site)
set(_wheels "${_site}/nvidia/cu${B2M_CUDA_MAJOR}") # where the nvidia-* wheels of torch lie

if(B2M_CUDA STREQUAL "OFF")
  set(_why "B2M_CUDA=OFF")
elseif(NOT TARGET b2m::libtorch_cuda)
  set(_why "the torch in ${B2M_TORCH_ROOT} is a CPU build")
else()
  if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX} AND EXISTS "${_wheels}/bin/nvcc")
    set(ENV{CUDACXX} "${_wheels}/bin/nvcc")
  endif()
  if(EXISTS "${_wheels}/bin/nvcc") # nvcc looks for libraries in lib64, the wheels have lib
    set(ENV{LIBRARY_PATH} "${_wheels}/lib:$ENV{LIBRARY_PATH}")
  endif()
  if(DEFINED CMAKE_CUDA_COMPILER AND NOT CMAKE_CUDA_COMPILER_LOADED AND NOT DEFINED CACHE{B2M_NVCC_WORKS})
    set(ENV{CUDACXX} "${CMAKE_CUDA_COMPILER}") # check_language() tries only what is not set yet
    unset(CMAKE_CUDA_COMPILER)
    unset(CMAKE_CUDA_COMPILER CACHE)
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    set(_why "there is no working nvcc on the PATH, in CUDACXX or CMAKE_CUDA_COMPILER, nor PyPI's nvidia-cuda-nvcc")
  endif()
endif()

if(_why STREQUAL "")
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES AND NOT DEFINED ENV{CUDAARCHS})
    set(CMAKE_CUDA_ARCHITECTURES "80-real;86-real;90-real;100" CACHE STRING "CUDA architectures to compile for")
  endif()
  set(CMAKE_CUDA_RUNTIME_LIBRARY None) # torch's own libcudart below, never a second one
  enable_language(CUDA)
  set(CMAKE_CUDA_STANDARD 20) # after enable_language: its own test would ask CMake 3.25 for what is set below
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  set(B2M_NVCC_WORKS ON CACHE INTERNAL "nvcc has compiled something in this build folder")
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION) # CMake 3.25 does not know that nvcc 12 and newer do C++20
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
  endif()
  string(REGEX MATCH "^[0-9]+" _nvcc_major "${CMAKE_CUDA_COMPILER_VERSION}")
  if(NOT _nvcc_major STREQUAL B2M_CUDA_MAJOR)
    set(_why "nvcc is of CUDA ${CMAKE_CUDA_COMPILER_VERSION}, torch of CUDA ${B2M_TORCH_CUDA_VERSION}")
  endif()
endif()

if(_why STREQUAL "")
  set(B2M_HAVE_CUDA ON)
elseif(B2M_CUDA STREQUAL "ON")
  message(FATAL_ERROR "brain2music was asked for CUDA kernels (B2M_CUDA=ON), but ${_why}.")
endif()

if(B2M_HAVE_CUDA)
  file(GLOB _cudart "${_wheels}/lib/libcudart.so.*") # the copy that torch loads
  if(_cudart)
    list(GET _cudart 0 _cudart)
    _b2m_import(b2m::cudart "${_cudart}")
    set(B2M_CUDART_FOLDER "${_wheels}/lib")
  else()
    find_package(CUDAToolkit REQUIRED)
    add_library(b2m::cudart ALIAS CUDA::cudart)
    set(B2M_CUDART_FOLDER "${CUDAToolkit_LIBRARY_DIR}")
  endif()
  add_library(b2m::torch_cuda INTERFACE IMPORTED GLOBAL)
  set_target_properties(b2m::torch_cuda PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES}"
    INTERFACE_LINK_LIBRARIES "b2m::torch;b2m::libtorch_cuda;b2m::libc10_cuda;b2m::cudart")
  if(IS_DIRECTORY "${_wheels}/lib")
    set_target_properties(b2m::torch_cuda PROPERTIES INTERFACE_LINK_DIRECTORIES "${_wheels}/lib")
  endif()
  message(STATUS "brain2music: CUDA kernels for ${CMAKE_CUDA_ARCHITECTURES}, by nvcc ${CMAKE_CUDA_COMPILER_VERSION} "
                 "(${CMAKE_CUDA_COMPILER})")
else()
  message(STATUS "brain2music: CPU build without CUDA kernels, since ${_why}")
endif()
message(STATUS "brain2music: torch ${B2M_TORCH_VERSION} in ${B2M_TORCH_ROOT}")
