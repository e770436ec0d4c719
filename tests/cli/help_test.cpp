#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "run_program.h"

namespace mmra::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Help, TeachesTheFirstRunAndNamesEveryCommand) {
  const ProgramResult result = run_mmra({"--help"});
  EXPECT_EQ(result.status, 0);
  for (const char* command : {"import", "ingest", "bank", "search", "train", "evaluate", "predict",
                              "compare", "serve", "models", "demo"}) {
    EXPECT_THAT(result.out, HasSubstr(command));
    EXPECT_EQ(run_mmra({command, "--help"}).status, 0) << command;
  }
  EXPECT_THAT(result.out, HasSubstr("mmra ingest videos.csv --bank my.bank"));
}

TEST(Help, SaysItsVersion) {
  const ProgramResult result = run_mmra({"--version"});
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.out, StartsWith("mmra 0."));
}

TEST(WrongUsage, IsOneLineWithStatusTwo) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {},
           {"fly"},
           {"ingest"},
           {"search", "--bank"},
           {"search", "--bank", "b"},
           {"predict", "--bank", "b", "--model", "m"},
           {"--colour"},
           {"search", "--bank", "b", "-k", "0"},
           {"search", "--bank", "b", "-k", "many"},
           {"train", "--bank", "b", "--out", "m", "--without", "luck"},
           {"evaluate", "--bank", "b", "--model", "m", "--split", "all"},
           {"predict", "--bank", "b", "--model", "m", "--id", "1", "--title", "t"},
           {"bank"},
           {"ingest", "m.csv", "--bank", "b", "--colour", "red"}}) {
    const ProgramResult result = run_mmra(arguments);
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_THAT(result.err, StartsWith("error: "));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "");
  }
}

TEST(WrongUsage, NamesTheWrongCommandAndTheRightOnes) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{}, {"ingst", "m.csv"}, {"--colour"}}) {
    const ProgramResult result = run_mmra(arguments);
    EXPECT_THAT(result.err, HasSubstr("import, ingest, bank, search, train"));
    EXPECT_THAT(result.err, HasSubstr(arguments.empty() ? "needed" : "\"" + arguments[0] + "\""));
  }
}

}  // namespace
}  // namespace mmra::testing
