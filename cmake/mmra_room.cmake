# A room is one folder of src/mmra: a static library that links only the rooms before it, so that
# an arrow against the data path does not link. See docs/architecture.md for the order.
add_library(mmra_options INTERFACE)
target_compile_options(mmra_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                       -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 sees overlaps in std::string's own += that cannot be (GCC bug 105651).
  target_compile_options(mmra_options INTERFACE -Wno-restrict)
endif()
if(MMRA_WERROR)
  target_compile_options(mmra_options INTERFACE -Werror)
endif()
if(MMRA_SANITIZE)
  target_compile_options(mmra_options INTERFACE -fsanitize=${MMRA_SANITIZE}
                         -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(mmra_options INTERFACE -fsanitize=${MMRA_SANITIZE})
endif()

# mmra_room(NAME SOURCES ... [LINK rooms and libraries that its headers need] [PRIVATE_LINK ...])
function(mmra_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(mmra_${name} STATIC ${ROOM_SOURCES})
  target_include_directories(mmra_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(mmra_${name} PUBLIC ${ROOM_LINK} PRIVATE ${ROOM_PRIVATE_LINK} mmra_options)
endfunction()

# mmra_test(NAME [WHOLE] SOURCES ... LINK ...): one test program a room; every case is found by ctest.
# WHOLE: one ctest entry for all cases, where each start is slow (LibTorch takes half a second).
function(mmra_test name)
  cmake_parse_arguments(TEST "WHOLE" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE
    MMRA_GOLDEN_DIR="${PROJECT_SOURCE_DIR}/tests/golden"
    MMRA_SHARED_DATA_DIR="${PROJECT_SOURCE_DIR}/../shared/data"
    MMRA_REAL_ENCODERS_DIR="${PROJECT_SOURCE_DIR}/build/encoders")
  target_link_libraries(${name} PRIVATE ${TEST_LINK} GTest::gmock GTest::gtest_main mmra_options)
  if(TEST_WHOLE)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 900)
  else()
    gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)
  endif()
endfunction()
