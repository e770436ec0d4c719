# Every outside library in one place. All of them are Debian 12 packages (scripts/packages.txt).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(spdlog 1.10 REQUIRED)
# Beast and Asio are headers alone.
find_package(Boost 1.74 REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
pkg_check_modules(ffmpeg REQUIRED IMPORTED_TARGET libavformat libavcodec libavutil libswscale)
pkg_check_modules(lmdb REQUIRED IMPORTED_TARGET lmdb)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(seccomp REQUIRED IMPORTED_TARGET libseccomp)
# The GnuTLS build of libcurl, and nettle beside it: FFmpeg has loaded both libraries already.
pkg_check_modules(curl REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(nettle REQUIRED IMPORTED_TARGET nettle)

# oneDNN's own CMake file asks for OpenCL, which the CPU library does not need.
find_path(DNNL_INCLUDE_DIR dnnl.hpp REQUIRED)
find_library(DNNL_LIBRARY dnnl REQUIRED)
add_library(onednn INTERFACE IMPORTED)
target_include_directories(onednn INTERFACE ${DNNL_INCLUDE_DIR})
target_link_libraries(onednn INTERFACE ${DNNL_LIBRARY})

# libcsv and utf8proc ship no pkg-config file for the versions in Debian 12.
find_path(LIBCSV_INCLUDE_DIR csv.h REQUIRED)
find_library(LIBCSV_LIBRARY csv REQUIRED)
add_library(libcsv INTERFACE IMPORTED)
target_include_directories(libcsv INTERFACE ${LIBCSV_INCLUDE_DIR})
target_link_libraries(libcsv INTERFACE ${LIBCSV_LIBRARY})
find_path(UTF8PROC_INCLUDE_DIR utf8proc.h REQUIRED)
find_library(UTF8PROC_LIBRARY utf8proc REQUIRED)
add_library(utf8proc INTERFACE IMPORTED)
target_include_directories(utf8proc INTERFACE ${UTF8PROC_INCLUDE_DIR})
target_link_libraries(utf8proc INTERFACE ${UTF8PROC_LIBRARY})

# libsvm ships neither a pkg-config nor a CMake file; XGBoost's CMake file asks for its command-line
# program too, which is in no package that is needed here.
find_path(LIBSVM_INCLUDE_DIR libsvm/svm.h REQUIRED)
find_library(LIBSVM_LIBRARY svm REQUIRED)
add_library(libsvm INTERFACE IMPORTED)
target_include_directories(libsvm INTERFACE ${LIBSVM_INCLUDE_DIR})
target_link_libraries(libsvm INTERFACE ${LIBSVM_LIBRARY})
find_path(XGBOOST_INCLUDE_DIR xgboost/c_api.h REQUIRED)
find_library(XGBOOST_LIBRARY xgboost REQUIRED)
add_library(xgboost INTERFACE IMPORTED)
target_include_directories(xgboost INTERFACE ${XGBOOST_INCLUDE_DIR})
target_link_libraries(xgboost INTERFACE ${XGBOOST_LIBRARY})

if(MMRA_NEURAL)
  # Debian's TorchConfig asks for everything it was built with; only the CPU parts are used here.
  find_package(Torch 1.13 REQUIRED)
endif()

# Optional (scripts/packages-extras.txt): without it the program is the same, and says under mpirun
# what is missing. Not under sanitizers, which Open MPI was not built with.
set(MMRA_MPI OFF)
if(NOT MMRA_SANITIZE)
  find_package(MPI QUIET COMPONENTS CXX)
  if(MPI_CXX_FOUND)
    set(MMRA_MPI ON)
  endif()
endif()
