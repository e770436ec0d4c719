# A room is one folder of src/mmra: a static library that links only the rooms before it, so that
# an arrow against the data path does not link. See docs/architecture.md for the order.
add_library(mmra_options INTERFACE)
target_compile_options(mmra_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                       -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 sees overlaps and overruns in std::string's own code that cannot be (GCC bug 105651), at
  # -O1 and out of precompiled headers more of them. The sanitizer builds look for real ones.
  target_compile_options(mmra_options INTERFACE -Wno-restrict -Wno-array-bounds
                                                -Wno-stringop-overflow -Wno-stringop-overread)
endif()
if(MMRA_WERROR)
  target_compile_options(mmra_options INTERFACE -Werror)
endif()
if(MMRA_SANITIZE)
  target_compile_options(mmra_options INTERFACE -fsanitize=${MMRA_SANITIZE}
                         -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(mmra_options INTERFACE -fsanitize=${MMRA_SANITIZE})
endif()

# Precompiled, because parsing them would be half of the build: what nearly every file includes, and
# nlohmann-json, which costs more than all of those together. Sources still name what they use:
# clang-tidy reads them without any of this (the preset lint).
set(MMRA_COMMON_HEADERS
    <algorithm> <array> <cmath> <cstdint> <cstring> <filesystem> <functional> <limits> <map> <memory>
    <mutex> <optional> <span> <stop_token> <string> <string_view> <utility> <vector>
    <nlohmann/json.hpp>)

# mmra_room(NAME SOURCES ... [LINK rooms and libraries that its headers need] [PRIVATE_LINK ...]
#           [PRECOMPILE headers])
# All rooms share core's precompiled headers; PRECOMPILE: a room gets its own, these and the standard
# library's.
function(mmra_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;LINK;PRIVATE_LINK;PRECOMPILE" ${ARGN})
  add_library(mmra_${name} STATIC ${ROOM_SOURCES})
  if(name STREQUAL core OR ROOM_PRECOMPILE)
    target_precompile_headers(mmra_${name} PRIVATE ${MMRA_COMMON_HEADERS} ${ROOM_PRECOMPILE})
  else()
    target_precompile_headers(mmra_${name} REUSE_FROM mmra_core)
  endif()
  target_include_directories(mmra_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(mmra_${name} PUBLIC ${ROOM_LINK} PRIVATE ${ROOM_PRIVATE_LINK} mmra_options)
endfunction()

# For what is thin or runs once: a release build spends no time on optimising it.
function(mmra_compile_lightly target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

set(MMRA_TEST_HEADERS ${MMRA_COMMON_HEADERS} <gmock/gmock.h> <gtest/gtest.h>)

# mmra_test(NAME [WHOLE] [COST seconds] SOURCES ... LINK ... [PRECOMPILE headers]): one test program a
# room; every case is found by ctest.
# OpenMP's threads sleep while they wait (apps/mmra/openmp_threads.h): tests run side by side.
# WHOLE: one ctest entry for all cases, where each start is slow (LibTorch takes half a second).
# COST: of its longest entries. Where ctest has no times of an earlier run, it begins with what costs
# most, so that no long test is left to run alone at the end.
# PRECOMPILE: as in mmra_room; else all tests share tests/precompiled.cpp's.
function(mmra_test name)
  cmake_parse_arguments(TEST "WHOLE" "COST" "SOURCES;LINK;PRECOMPILE" ${ARGN})
  set(cost "")
  if(TEST_COST)
    set(cost COST ${TEST_COST})
  endif()
  add_executable(${name} ${TEST_SOURCES})
  mmra_compile_lightly(${name})
  # A program's flag for position-independent code is not a library's; without either, both can use
  # the same precompiled headers.
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  if(TEST_PRECOMPILE)
    target_precompile_headers(${name} PRIVATE ${MMRA_TEST_HEADERS} ${TEST_PRECOMPILE})
  else()
    target_precompile_headers(${name} REUSE_FROM mmra_test_headers)
  endif()
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE
    MMRA_GOLDEN_DIR="${PROJECT_SOURCE_DIR}/tests/golden"
    MMRA_SHARED_DATA_DIR="${PROJECT_SOURCE_DIR}/../shared/data"
    MMRA_REAL_ENCODERS_DIR="${PROJECT_SOURCE_DIR}/build/encoders")
  target_link_libraries(${name} PRIVATE ${TEST_LINK} GTest::gmock GTest::gtest_main mmra_options)
  if(TEST_WHOLE)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 900 ENVIRONMENT GOMP_SPINCOUNT=1000 ${cost})
  else()
    gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60
                         PROPERTIES TIMEOUT 300 ENVIRONMENT GOMP_SPINCOUNT=1000 ${cost})
  endif()
endfunction()
