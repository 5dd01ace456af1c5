# One layout for a wheel (the prefix is site-packages/brain2music), for an editable install and for cmake --install.
include(CMakePackageConfigHelpers)

set(_libdir ${CMAKE_INSTALL_LIBDIR})
if(SKBUILD)
  set(_libdir lib)
endif()

if(SKBUILD AND NOT SKBUILD_STATE STREQUAL "editable")
  # In site-packages torch is a neighbour; the torch of the build is gone by the time the wheel is installed.
  set(_runpath "$ORIGIN/../../torch/lib")
  if(B2M_HAVE_CUDA)
    string(APPEND _runpath ";$ORIGIN/../../nvidia/cu${B2M_CUDA_MAJOR}/lib")
  endif()
  set(_built_with_torch "")
else()
  # By name: INSTALL_RPATH_USE_LINK_PATH leaves out what lies below the source folder, as a .venv does.
  set(_runpath "${B2M_TORCH_ROOT}/lib")
  if(B2M_HAVE_CUDA)
    string(APPEND _runpath ";${B2M_CUDART_FOLDER}")
  endif()
  set(_built_with_torch "${B2M_TORCH_ROOT}")
endif()

set_target_properties(brain2music PROPERTIES INSTALL_RPATH "${_runpath}")
install(TARGETS brain2music EXPORT brain2musicTargets LIBRARY DESTINATION ${_libdir}
        FILE_SET HEADERS DESTINATION include)
install(EXPORT brain2musicTargets NAMESPACE brain2music:: DESTINATION share/cmake/brain2music)
configure_package_config_file(cmake/brain2musicConfig.cmake.in "${PROJECT_BINARY_DIR}/brain2musicConfig.cmake"
                              INSTALL_DESTINATION share/cmake/brain2music)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/brain2musicConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/brain2musicConfig.cmake" "${PROJECT_BINARY_DIR}/brain2musicConfigVersion.cmake"
              cmake/LibTorch.cmake DESTINATION share/cmake/brain2music)
if(B2M_PYTHON AND SKBUILD) # elsewhere the extension would lie beside no package
  set_target_properties(_core PROPERTIES INSTALL_RPATH "$ORIGIN/${_libdir};$ORIGIN/../torch/lib")
  install(TARGETS _core LIBRARY DESTINATION .)
endif()
