# LibTorch, from a torch wheel or an unpacked libtorch, as plain imported targets: b2m::torch and b2m::torch_python.
# Used by the build and, installed, by brain2musicConfig.cmake.
#
# find_package(Torch) is not used: against a CUDA wheel it fails where there is no nvcc, even for plain C++ users, and
# it overrides CMAKE_CUDA_ARCHITECTURES and the RPATH.
include_guard(GLOBAL)
set(B2M_TORCH_REQUIRED 2.11) # torch keeps no binary interface from one minor version to the next

if(NOT B2M_TORCH_ROOT AND DEFINED ENV{B2M_TORCH_ROOT})
  set(B2M_TORCH_ROOT "$ENV{B2M_TORCH_ROOT}")
endif()
if(NOT B2M_TORCH_ROOT AND Python_EXECUTABLE)
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c
            "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
    OUTPUT_VARIABLE B2M_TORCH_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT B2M_TORCH_ROOT) # CMAKE_PREFIX_PATH from torch.utils.cmake_prefix_path, or to an unpacked libtorch
  find_path(_b2m_torch_config NAMES Torch/TorchConfig.cmake PATH_SUFFIXES share/cmake . NO_CACHE)
  if(_b2m_torch_config)
    cmake_path(GET _b2m_torch_config PARENT_PATH _b2m_share)
    cmake_path(GET _b2m_share PARENT_PATH B2M_TORCH_ROOT)
  endif()
endif()
if(NOT EXISTS "${B2M_TORCH_ROOT}/include/ATen/ATen.h")
  message(FATAL_ERROR "brain2music needs LibTorch ${B2M_TORCH_REQUIRED}; got '${B2M_TORCH_ROOT}'. Run 'pip install "
                      "torch==${B2M_TORCH_REQUIRED}.*' and pass -DPython_EXECUTABLE=<that python>, or pass "
                      "-DB2M_TORCH_ROOT=<site-packages/torch, or an unpacked libtorch>.")
endif()

file(STRINGS "${B2M_TORCH_ROOT}/include/torch/headeronly/version.h" _b2m_version
     REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
string(REGEX REPLACE "[^0-9;]" "" _b2m_version "${_b2m_version}")
string(REPLACE ";" "." B2M_TORCH_VERSION "${_b2m_version}")
if(NOT B2M_TORCH_VERSION MATCHES "^${B2M_TORCH_REQUIRED}\\.")
  message(FATAL_ERROR "brain2music needs torch ${B2M_TORCH_REQUIRED}.*; got torch ${B2M_TORCH_VERSION} in "
                      "${B2M_TORCH_ROOT}. Run 'pip install torch==${B2M_TORCH_REQUIRED}.*', or name another torch "
                      "with -DB2M_TORCH_ROOT.")
endif()

function(_b2m_import name file)
  if(NOT TARGET ${name} AND EXISTS "${file}")
    add_library(${name} SHARED IMPORTED GLOBAL)
    set_target_properties(${name} PROPERTIES IMPORTED_LOCATION "${file}")
  endif()
endfunction()
foreach(library c10 torch_cpu c10_cuda torch_cuda torch_python)
  _b2m_import(b2m::lib${library} "${B2M_TORCH_ROOT}/lib/lib${library}.so")
endforeach()
if(NOT TARGET b2m::torch)
  add_library(b2m::torch INTERFACE IMPORTED GLOBAL)
  set_target_properties(b2m::torch PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${B2M_TORCH_ROOT}/include;${B2M_TORCH_ROOT}/include/torch/csrc/api/include"
    INTERFACE_LINK_LIBRARIES "b2m::libtorch_cpu;b2m::libc10")
endif()
if(TARGET b2m::libtorch_python AND NOT TARGET b2m::torch_python)
  add_library(b2m::torch_python INTERFACE IMPORTED GLOBAL)
  set_target_properties(b2m::torch_python PROPERTIES INTERFACE_LINK_LIBRARIES "b2m::libtorch_python;b2m::torch")
endif()
