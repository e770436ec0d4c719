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

TEST(Demo, GoesFromClipsToAReportAndUsesThemAgain) {
  const TemporaryDirectory directory;
  const std::string where = directory / "demo";
  const auto first = run_mmra({"demo", "--dir", where, "--clips", "60", "--seeds", "1", "--quiet"});
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
  const json result = json::parse(second.out);
  EXPECT_EQ(result.at("scores").size(), 5U);
  EXPECT_LT(result.at("prediction").at("interval").at("low"),
            result.at("prediction").at("popularity"));
}

}  // namespace
}  // namespace mmra::testing
