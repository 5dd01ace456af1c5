# nlohmann_json, as b2m::json: manifests of bundles and the headers of .safetensors files. Headers only, needed to build.
find_path(B2M_JSON_INCLUDE nlohmann/json.hpp)
if(NOT B2M_JSON_INCLUDE)
  message(FATAL_ERROR "brain2music needs the header nlohmann/json.hpp: 'apt install nlohmann-json3-dev' or 'conda install "
                      "-c conda-forge nlohmann_json', or name its folder with -DB2M_JSON_INCLUDE.")
endif()
add_library(b2m::json INTERFACE IMPORTED)
set_target_properties(b2m::json PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${B2M_JSON_INCLUDE}")
