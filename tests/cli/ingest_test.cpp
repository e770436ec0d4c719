#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "bank/child_process.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/core/files.h"
#include "run_program.h"
#include "test_files.h"

namespace mmra::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string rows(int first, int count, const std::string& word = "boat") {
  std::string text;
  for (int i = first; i < first + count; ++i) {
    text += std::to_string(i) + ",\"my " + word + " number " + std::to_string(i) + "\"," +
            std::to_string(i % 97) + "\n";
  }
  return text;
}

const char* const kHeader = "id,title,popularity\n";

class Ingest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const { return (directory_ / name); }
  void write(const std::string& name, const std::string& text) const {
    write_file_atomically(directory_ / name, text);
  }
  [[nodiscard]] ProgramResult ingest(const std::string& manifest,
                                     std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"ingest", path(manifest), "--bank", path("bank"), "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_mmra(arguments);
  }
  [[nodiscard]] json info() const {
    const ProgramResult result = run_mmra({"bank", "info", "--bank", path("bank"), "--json"});
    EXPECT_EQ(result.status, 0) << result.err;
    return json::parse(result.out);
  }

  TemporaryDirectory directory_;
};

TEST_F(Ingest, TakesAManifestAndASecondRunDoesNothing) {
  write("m.csv", kHeader + rows(0, 50));
  ProgramResult result = ingest("m.csv", {"--unit", "comments", "--horizon", "7d"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith("50 added"));
  const json first = info();
  EXPECT_EQ(first["records"], 50);
  EXPECT_EQ(first["unit"], "comments");
  EXPECT_EQ(first["horizon"], "7d");
  EXPECT_EQ(first["encoders"]["name"], "builtin");

  result = ingest("m.csv");
  EXPECT_THAT(result.out, StartsWith("Nothing to do"));
  EXPECT_EQ(info()["generation"], first["generation"]) << "nothing may be written";
}

TEST_F(Ingest, UpdatesAChangedRowAndAddsANewOne) {
  write("m.csv", kHeader + rows(0, 20));
  ASSERT_EQ(ingest("m.csv").status, 0);
  write("m.csv", kHeader + rows(0, 19) + "19,\"something else\",5\n" + rows(20, 1));
  const ProgramResult result = ingest("m.csv", {"--json"});
  const json report = json::parse(result.out);
  EXPECT_EQ(report["added"], 1);
  EXPECT_EQ(report["updated"], 1);
  EXPECT_EQ(report["unchanged"], 19);
  const ProgramResult found =
      run_mmra({"search", "--bank", path("bank"), "--text", "something else", "-k", "1", "--json"});
  EXPECT_EQ(json::parse(found.out)[0]["id"], "19") << found.out << found.err;
}

TEST_F(Ingest, ReadsJsonLinesFromStandardInput) {
  std::string lines;
  for (int i = 0; i < 5; ++i) {
    lines +=
        json{{"id", std::to_string(i)}, {"title", "clip of a boat"}, {"popularity", i}}.dump() +
        "\n";
  }
  const ProgramResult result = run_mmra({"ingest", "-", "--bank", path("bank"), "--quiet"}, lines);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(info()["records"], 5);
}

TEST_F(Ingest, ListsWhatFailedAndGoesOn) {
  write("empty.mp4", "");
  write("noise.mp4", std::string(1000, 'x'));
  write("m.csv",
        "id,title,popularity,video\na,fine,1,\nb,no file,2,gone.mp4\nc,empty,3,empty.mp4\n"
        "d,noise,4,noise.mp4\ne,a directory,5,.\nf,fine too,6,\n"
        "g,,7,\n");
  ProgramResult result = ingest("m.csv", {"--json"});
  EXPECT_EQ(result.status, 0) << result.err;
  const json report = json::parse(result.out);
  EXPECT_EQ(report["added"], 2);
  EXPECT_EQ(report["failed"], 5) << "a row with neither a title nor a video is one of them";
  const std::string failures = read_file(directory_ / "bank/failures.jsonl");
  for (const char* part : {"\"b\"", "\"c\"", "\"d\"", "\"e\"", "gone.mp4", "directory"}) {
    EXPECT_THAT(failures, HasSubstr(part));
  }
  EXPECT_EQ(ingest("m.csv", {"--strict"}).status, 1);
}

TEST_F(Ingest, RefusesAMalformedManifestBeforeItWritesAnything) {
  const std::pair<const char*, const char*> cases[] = {
      {"id,title\n1,a\n", "popularity"},
      {"id,title,popularity\n1,a,2\n1,b,3\n", "line 3"},
      {"id,title,popularity\n1,a,many\n", "line 2"},
      {"id,title,popularity\n1,a,-4\n", "line 2"},
      {"id,title,popularity\n1,a\n", "line 2"},
      {"id,title,popularity\n1,\"a,2\n", "quote"},
      {"id,title,popularity\n1,\xff\xfe,2\n", "UTF-8"},
      {"", "empty"}};
  for (const auto& [text, part] : cases) {
    write("m.csv", text);
    const ProgramResult result = ingest("m.csv");
    EXPECT_EQ(result.status, 1) << text;
    EXPECT_THAT(result.err, StartsWith("error: ")) << text;
    EXPECT_THAT(result.err, HasSubstr(part)) << text;
    EXPECT_THAT(result.err, HasSubstr("m.csv")) << text;
    EXPECT_FALSE(std::filesystem::exists(directory_ / "bank")) << text;
  }
  EXPECT_EQ(ingest("none.csv").status, 1);
  EXPECT_EQ(run_mmra({"ingest", directory_.path(), "--bank", path("bank")}).status, 1);
}

TEST_F(Ingest, AcceptsByteOrderMarksCrlfQuotesAndLongTitles) {
  const std::string long_title(1'000'000, 'a');
  write("m.csv", "\xEF\xBB\xBFid,title,popularity\r\n1,\"a \"\"quoted\"\",\r\ntitle\",2\r\n2," +
                     long_title + ",3\r\n");
  const ProgramResult result = ingest("m.csv");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(info()["records"], 2);
}

TEST_F(Ingest, RefusesAnotherUnitForAnExistingBank) {
  write("m.csv", kHeader + rows(0, 3));
  ASSERT_EQ(ingest("m.csv", {"--unit", "views"}).status, 0);
  const ProgramResult result = ingest("m.csv", {"--unit", "likes"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("views"));
  EXPECT_THAT(result.err, HasSubstr("likes"));
}

TEST_F(Ingest, AColumnThatTurnsOutMixedNamesTheRow) {
  write("m.csv", "id,title,popularity,followers\n1,a,1,10\n2,b,2,\n");
  ASSERT_EQ(ingest("m.csv").status, 0);
  EXPECT_EQ(info()["context"]["followers"], "number");
  write("n.csv", "id,title,popularity,followers\n3,a,1,12\n4,b,2,plenty\n");
  const ProgramResult result = ingest("n.csv");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("line 3"));
  EXPECT_THAT(result.err, HasSubstr("followers"));
  EXPECT_THAT(result.err, HasSubstr("plenty"));
  EXPECT_EQ(info()["records"], 2);
}

TEST_F(Ingest, CtrlCKeepsWhatIsDoneAndTheNextRunGoesOn) {
  write("m.csv", kHeader + rows(0, 8000));
  const ProgramResult stopped =
      run_mmra_and_signal({"ingest", path("m.csv"), "--bank", path("bank"), "--quiet"},
                          std::chrono::milliseconds(700), SIGINT);
  EXPECT_TRUE(stopped.status == 130 || stopped.status == 0) << stopped.status << stopped.err;
  const ProgramResult result = ingest("m.csv", {"--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(info()["records"], 8000);
  EXPECT_EQ(run_mmra({"bank", "verify", "--bank", path("bank")}).status, 0);
}

// kill -9 at random moments, dozens of times: what an ingest has acknowledged (committed) is never
// lost, the bank always opens, and the ingest comes to its end.
TEST_F(Ingest, SurvivesKillAtRandomMoments) {
  write("m.csv", kHeader + rows(0, 4000));
  std::mt19937 random(20241114);
  std::int64_t records_before = 0;
  for (int i = 0; i < 30; ++i) {
    const auto delay = std::chrono::milliseconds(random() % 400);
    (void)run_mmra_and_signal({"ingest", path("m.csv"), "--bank", path("bank"), "--quiet"}, delay,
                              SIGKILL);
    const ProgramResult result = run_mmra({"bank", "info", "--bank", path("bank"), "--json"});
    if (records_before == 0 && result.status == 1) {
      EXPECT_THAT(result.err, HasSubstr("no memory bank")) << "killed before the bank was made";
      continue;
    }
    ASSERT_EQ(result.status, 0) << result.err;
    const std::int64_t records = json::parse(result.out)["records"];
    EXPECT_GE(records, records_before) << "records were lost in round " << i;
    records_before = records;
    const ProgramResult verified = run_mmra({"bank", "verify", "--bank", path("bank")});
    ASSERT_EQ(verified.status, 0) << verified.out << verified.err;
  }
  ASSERT_EQ(ingest("m.csv").status, 0);
  EXPECT_EQ(info()["records"], 4000);
}

TEST_F(Ingest, FollowsStandardInputAndSaysWhatIsOnDisk) {
  write("m.csv", kHeader + rows(0, 50));
  ASSERT_EQ(ingest("m.csv").status, 0);
  const std::string input =
      "{\"id\": \"new\", \"title\": \"a kite\", \"popularity\": 4}\n[]\n"
      "{\"id\": \"last\", \"title\": \"no line break\"}";
  const ProgramResult result =
      run_mmra({"ingest", "-", "--follow", "--bank", path("bank"), "--jobs", "1"}, input);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("2 added, 0 updated, 0 unchanged, 1 failed of 3 rows"));
  std::istringstream lines(result.out);
  std::vector<json> acknowledged;
  for (std::string line; std::getline(lines, line);) acknowledged.push_back(json::parse(line));
  ASSERT_EQ(acknowledged.size(), 3U);
  std::sort(acknowledged.begin(), acknowledged.end(),
            [](const json& a, const json& b) { return a["line"] < b["line"]; });
  EXPECT_EQ(acknowledged[0], json({{"line", 1}, {"id", "new"}, {"outcome", "added"}}));
  EXPECT_EQ(acknowledged[1]["outcome"], "failed");
  EXPECT_THAT(acknowledged[1]["error"].get<std::string>(),
              HasSubstr("standard input, line 2: expected a JSON object"));
  EXPECT_EQ(acknowledged[2]["id"], "last");
  EXPECT_EQ(info()["records"], 52);
  EXPECT_NE(run_mmra({"ingest", "-", "--follow", "--bank", path("bank"), "--unit", "likes"}).status,
            0);
}

TEST_F(Ingest, WhatWasAcknowledgedOutlivesKills) {
  write("m.csv", kHeader + rows(0, 20));
  ASSERT_EQ(ingest("m.csv").status, 0);
  std::string stream;
  for (int i = 0; i < 3000; ++i) {
    stream +=
        json({{"id", "s" + std::to_string(i)}, {"title", "kite " + std::to_string(i)}}).dump();
    stream += "\n";
  }
  write("rows.jsonl", stream);
  std::mt19937 random(11);
  std::size_t num_acknowledged = 0;
  for (int round = 0; round < num_kills(12); ++round) {
    const std::chrono::milliseconds delay(20 + random() % 300);
    const ProgramResult result = run_mmra_and_signal(
        {"ingest", path("rows.jsonl"), "--follow", "--bank", path("bank")}, delay, SIGKILL);
    const auto bank = bank::open_bank(path("bank"), bank::OpenMode::kReadOnly);
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) {
      if (!line.ends_with('}')) continue;  // cut by the kill
      ++num_acknowledged;
      ASSERT_TRUE(bank->find(json::parse(line)["id"].get<std::string>())) << round << line;
    }
    ASSERT_TRUE(bank->verify().empty()) << round;
  }
  EXPECT_GT(num_acknowledged, 0U);
}

}  // namespace
}  // namespace mmra::testing
