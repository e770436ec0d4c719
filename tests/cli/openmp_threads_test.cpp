// libgomp says with OMP_DISPLAY_ENV what it has read, once for every start of the program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "run_program.h"

namespace mmra {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::run_mmra_with;

int count_starts(const std::string& err) {
  int count = 0;
  for (std::size_t at = 0;
       (at = err.find("OPENMP DISPLAY ENVIRONMENT BEGIN", at)) != std::string::npos; ++at) {
    ++count;
  }
  return count;
}

TEST(OpenMpThreads, WaitAsleepInCommandsThatMultiply) {
  const auto result = run_mmra_with({{"OMP_DISPLAY_ENV", "VERBOSE"},
                                     {"GOMP_SPINCOUNT", std::nullopt},
                                     {"OMP_WAIT_POLICY", std::nullopt}},
                                    {"search", "--bank", "nowhere", "--text", "a"});
  EXPECT_EQ(result.status, 1);  // of the second start
  EXPECT_EQ(count_starts(result.err), 2);
  EXPECT_THAT(result.err, HasSubstr("GOMP_SPINCOUNT = '1000'"));
  EXPECT_THAT(result.err, HasSubstr("error: "));
}

TEST(OpenMpThreads, AreAsTheUserSaysWhereHeSays) {
  const auto result = run_mmra_with({{"OMP_DISPLAY_ENV", "VERBOSE"},
                                     {"GOMP_SPINCOUNT", std::nullopt},
                                     {"OMP_WAIT_POLICY", "active"}},
                                    {"search", "--bank", "nowhere", "--text", "a"});
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(count_starts(result.err), 1);
  EXPECT_THAT(result.err, Not(HasSubstr("GOMP_SPINCOUNT = '1000'")));
}

TEST(OpenMpThreads, AreLeftAloneByCommandsThatAnswerAtOnce) {
  const auto result = run_mmra_with({{"OMP_DISPLAY_ENV", "VERBOSE"},
                                     {"GOMP_SPINCOUNT", std::nullopt},
                                     {"OMP_WAIT_POLICY", std::nullopt}},
                                    {"bank", "info", "--bank", "nowhere"});
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(count_starts(result.err), 1);
}

}  // namespace
}  // namespace mmra
