#include "mmra/pipeline/ingest_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "expect_error.h"
#include "made_bank.h"
#include "mmra/core/error.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string row(const std::string& id, const std::string& title, int popularity) {
  return R"({"id": ")" + id + R"(", "title": ")" + title + R"(", "popularity": )" +
         std::to_string(popularity) + "}\n";
}

/// A bank with a few rows, and a file that is followed until so many rows were acknowledged.
class IngestStream : public ::testing::Test {
 protected:
  void SetUp() override {
    (void)ingest_text(directory_.path(),
                      "id,title,popularity,followers\nv1,a red boat,5,10\nv2,a blue tram,7,\n");
  }
  void append(const std::string& text) const {
    std::ofstream(directory_ / "rows.jsonl", std::ios::app | std::ios::binary) << text;
  }
  /// Follows the file until `count` rows are acknowledged; calls `after` with each number so far.
  IngestReport follow(std::size_t count, const std::function<void(std::size_t)>& after = {}) {
    StreamOptions options;
    options.bank_directory = directory_ / "bank";
    options.num_jobs = 3;
    options.stop = stop_.get_token();
    options.acknowledge = [&, count](std::span<const IngestedRow> rows) {
      for (const IngestedRow& done : rows) {
        acknowledged_.push_back(done);
        if (after) after(acknowledged_.size());
      }
      if (acknowledged_.size() >= count) stop_.request_stop();
    };
    try {
      return ingest_stream(directory_ / "rows.jsonl", options);
    } catch (const Interrupted&) {
      return {};
    }
  }
  [[nodiscard]] std::optional<bank::Record> find(const std::string& id) const {
    return open_made_bank(directory_.path())->find(id);
  }

  TemporaryDirectory directory_;
  std::stop_source stop_;
  std::vector<IngestedRow> acknowledged_;
};

TEST_F(IngestStream, AcknowledgesWhatIsInTheBankAndWhatIsNot) {
  append(row("v1", "a red boat", 9) + "\n" + row("v3", "a green kite", 3) + "not JSON\n" +
         R"({"id": "v4", "title": "x", "colour": "red"})"
         "\n" +
         R"({"id": "v5", "title": "", "popularity": 1})"
         "\n" +
         R"({"id": "v6", "title": "no popularity yet", "followers": 4})"
         "\n" +
         R"({"id": "v7", "title": "x", "followers": "many"})"
         "\n");
  follow(7);
  std::map<std::int64_t, IngestedRow> by_line;
  for (const IngestedRow& done : acknowledged_) by_line[done.line] = done;
  ASSERT_EQ(by_line.size(), 7U);
  const auto outcome = [&](std::int64_t line) { return name_of(by_line.at(line).outcome); };
  const auto fault = [&](std::int64_t line) { return by_line.at(line).failure.value().what; };
  EXPECT_EQ(outcome(1), "updated");
  EXPECT_EQ(outcome(3), "added");
  EXPECT_THAT(fault(4), HasSubstr("rows.jsonl, line 4"));
  EXPECT_THAT(fault(5), HasSubstr("line 5: the bank has no column \"colour\""));
  EXPECT_THAT(fault(6), HasSubstr("line 6 has neither a title nor a video"));
  EXPECT_EQ(by_line.at(6).id, "v5");
  EXPECT_EQ(outcome(7), "added");
  EXPECT_THAT(fault(8), HasSubstr("expected a number, as in the rest of the bank"));
  EXPECT_EQ(find("v1")->popularity, 9.0);
  EXPECT_EQ(find("v3")->title, "a green kite");
  EXPECT_EQ(find("v6")->popularity, std::nullopt);
  EXPECT_EQ(find("v4"), std::nullopt);
  EXPECT_TRUE(open_made_bank(directory_.path())->verify().empty());
}

TEST_F(IngestStream, RowsAreThereAsSoonAsTheyAreAcknowledged) {
  append(row("w0", "the first kite", 0));
  bool all_there = true;
  follow(5, [&](std::size_t count) {
    const std::string id = "w" + std::to_string(count - 1);
    all_there = all_there && find(id).has_value();
    if (count < 5) append(row("w" + std::to_string(count), "another kite", 1));
  });
  EXPECT_EQ(acknowledged_.size(), 5U) << "nothing waits for more rows to come";
  EXPECT_TRUE(all_there);
}

TEST_F(IngestStream, TheLastRowOfAnIdWins) {
  std::string text;
  for (int i = 0; i < 60; ++i) {
    text += row("same", i % 2 == 0 ? "one title" : "another title", i);
    text += row("other" + std::to_string(i), "a title of its own", i);
  }
  append(text);
  follow(120);
  const auto record = find("same");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->popularity, 59.0);
  EXPECT_EQ(record->title, "another title");
  std::int64_t before = 0;
  for (const IngestedRow& done : acknowledged_) {
    if (done.id != "same") continue;
    EXPECT_GT(done.line, before);
    before = done.line;
    EXPECT_EQ(done.outcome, done.line == 1 ? IngestOutcome::kAdded : IngestOutcome::kUpdated);
  }
}

TEST_F(IngestStream, ASecondRunSkipsWhatIsThere) {
  append(row("v1", "a red boat", 5) + row("v3", "a green kite", 3));
  follow(2);
  acknowledged_.clear();
  stop_ = std::stop_source();
  follow(2);
  // v1 lost its followers in the first run, and is the same in the second.
  EXPECT_THAT(acknowledged_,
              ::testing::Each(::testing::Field(&IngestedRow::outcome, IngestOutcome::kUnchanged)));
}

TEST_F(IngestStream, NeedsABankThatIsThere) {
  append(row("v1", "a red boat", 5));
  std::filesystem::remove_all(directory_ / "bank");
  StreamOptions options;
  options.bank_directory = directory_ / "bank";
  expect_error(ErrorKind::kNotFound, "bank",
               [&] { (void)ingest_stream(directory_ / "rows.jsonl", options); });
  EXPECT_FALSE(std::filesystem::exists(directory_ / "bank"));
}

}  // namespace
}  // namespace mmra::pipeline::testing
