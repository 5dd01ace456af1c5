# What the build needs besides LibTorch, each refused by one sentence that says what to do.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 11)
  message(FATAL_ERROR "brain2music needs g++ 11 or newer (C++20); got ${CMAKE_CXX_COMPILER_VERSION}. "
                      "Install a newer one, e.g. 'apt install g++-12', and pass -DCMAKE_CXX_COMPILER=g++-12.")
elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 15)
  message(FATAL_ERROR "brain2music needs clang 15 or newer (C++20); got ${CMAKE_CXX_COMPILER_VERSION}. "
                      "Install a newer one and pass -DCMAKE_CXX_COMPILER=<path>.")
endif()

if(B2M_PYTHON)
  find_package(Python 3.10 COMPONENTS Interpreter Development.Module)
  if(NOT Python_Development.Module_FOUND)
    message(FATAL_ERROR "brain2music's Python extension needs Python 3.10 or newer with its headers; got "
                        "'${Python_EXECUTABLE}' ${Python_VERSION}. On Debian and Ubuntu: 'apt install python3-dev'.")
  endif()
else()
  find_package(Python 3.10 COMPONENTS Interpreter) # only to ask where torch is
endif()

if(B2M_TESTS)
  find_package(Catch2 QUIET)
  if(NOT Catch2_FOUND)
    message(FATAL_ERROR "brain2music's C++ tests need Catch2 2.13 or 3: 'apt install catch2' or 'conda install -c "
                        "conda-forge catch2', or configure with -DB2M_TESTS=OFF.")
  endif()
endif()
