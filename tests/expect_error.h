#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "mmra/core/error.h"

namespace mmra::testing {

/// Runs `action`, which must throw Error of `kind` with one line that holds `part`.
template <typename Action>
void expect_error(ErrorKind kind, const std::string& part, Action&& action) {
  try {
    action();
    ADD_FAILURE() << "no error; expected one that says: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
    EXPECT_THAT(error.what(), ::testing::Not(::testing::HasSubstr("\n")));
  }
}

}  // namespace mmra::testing
