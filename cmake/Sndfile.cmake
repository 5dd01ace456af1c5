# libsndfile, as b2m::sndfile: audio files. Linked by its SONAME; a wheel runs on machines without it, since Python loads
# the copy inside the `soundfile` package first.
find_path(B2M_SNDFILE_INCLUDE sndfile.h)
find_library(B2M_SNDFILE_LIBRARY sndfile)
if(NOT B2M_SNDFILE_INCLUDE OR NOT B2M_SNDFILE_LIBRARY)
  message(FATAL_ERROR "brain2music needs libsndfile and its header: 'apt install libsndfile1-dev' or 'conda install -c "
                      "conda-forge libsndfile', or name them with -DB2M_SNDFILE_INCLUDE and -DB2M_SNDFILE_LIBRARY.")
endif()
add_library(b2m::sndfile SHARED IMPORTED)
set_target_properties(b2m::sndfile PROPERTIES IMPORTED_LOCATION "${B2M_SNDFILE_LIBRARY}"
                                              INTERFACE_INCLUDE_DIRECTORIES "${B2M_SNDFILE_INCLUDE}")
