#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "mmra/core/files.h"
#include "run_program.h"
#include "test_files.h"

namespace mmra::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

// The first run's clips are used again, but its figures are those of 64 clips: nothing else of it
// may be in the second's, nor may threads that train side by side.
TEST(Demo, GoesFromClipsToAReportThatDependsOnNothingButItsSettings) {
  const TemporaryDirectory directory;
  const std::string where = directory / "demo";
  const auto first = run_mmra({"demo", "--dir", where, "--clips", "64", "--seeds", "1", "--quiet"});
  ASSERT_EQ(first.status, 0) << first.err;
  for (const char* text : {"everything", "without retrieval", "without video", "without text",
                           "mean of train", "likes predicted", "It got", "report.html"}) {
    EXPECT_THAT(first.out, HasSubstr(text));
  }
  const std::string report = read_file(directory / "demo" / "report.html");
  EXPECT_THAT(report, HasSubstr("data:image/jpeg;base64,"));
  EXPECT_THAT(report, HasSubstr("made by the program, not real"));
  EXPECT_THAT(report, Not(HasSubstr("src='http")));  // nothing comes from outside
  EXPECT_THAT(report, Not(HasSubstr("href")));

  const auto newest = [&] {
    std::filesystem::file_time_type time{};
    for (const auto& entry : std::filesystem::directory_iterator(directory / "demo" / "clips")) {
      if (entry.path().extension() == ".mp4") time = std::max(time, entry.last_write_time());
    }
    return time;
  };
  const auto made = newest();
  const auto second =
      run_mmra({"demo", "--dir", where, "--clips", "60", "--seeds", "1", "--quiet", "--json"});
  ASSERT_EQ(second.status, 0) << second.err;
  EXPECT_EQ(newest(), made);
  const auto fresh = run_mmra({"demo", "--dir", directory / "fresh", "--clips", "60", "--seeds",
                               "1", "--threads", "1", "--quiet", "--json"});
  ASSERT_EQ(fresh.status, 0) << fresh.err;
  const json result = json::parse(second.out);
  const json expected = json::parse(fresh.out);
  EXPECT_EQ(result.at("scores"), expected.at("scores"));
  // One query on several threads may round differently.
  EXPECT_NEAR(result.at("prediction").at("log2").get<double>(),
              expected.at("prediction").at("log2").get<double>(), 1e-4);
  EXPECT_EQ(result.at("scores").size(), 5U);
  EXPECT_LT(result.at("prediction").at("interval").at("low"),
            result.at("prediction").at("popularity"));
}

TEST(Demo, LeavesABankAloneThatIsNotItsOwn) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "bank");
  const auto run = run_mmra({"demo", "--dir", directory.path(), "--clips", "60", "--quiet"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("was not made by a demonstration"));
  EXPECT_TRUE(std::filesystem::exists(directory / "bank"));
  EXPECT_FALSE(std::filesystem::exists(directory / "clips"));
}

}  // namespace
}  // namespace mmra::testing
