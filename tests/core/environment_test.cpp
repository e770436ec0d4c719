#include "mmra/core/environment.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "expect_error.h"

namespace mmra {
namespace {

/// What the variables were before comes back.
class CacheDirectory : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"MMRA_TESTED", "XDG_CACHE_HOME", "HOME"}) {
      before_[name] = environment_variable(name);
      ::unsetenv(name);
    }
  }
  void TearDown() override {
    for (const auto& [name, value] : before_) {
      if (value.empty()) {
        ::unsetenv(name.c_str());
      } else {
        ::setenv(name.c_str(), value.c_str(), 1);
      }
    }
  }
  static std::string found() { return cache_directory("MMRA_TESTED", "things", "things").string(); }

 private:
  std::map<std::string, std::string> before_;
};

TEST_F(CacheDirectory, IsTheVariablesOwnThenTheCachesThenHomes) {
  testing::expect_error(
      ErrorKind::kInvalidInput,
      "no place for things: none of MMRA_TESTED, XDG_CACHE_HOME and HOME is set; set "
      "MMRA_TESTED",
      [] { (void)found(); });
  ::setenv("HOME", "/home/a", 1);
  EXPECT_EQ(found(), "/home/a/.cache/mmra/things");
  ::setenv("XDG_CACHE_HOME", "/cache", 1);
  EXPECT_EQ(found(), "/cache/mmra/things");
  ::setenv("MMRA_TESTED", "/own", 1);
  EXPECT_EQ(found(), "/own");
}

}  // namespace
}  // namespace mmra
