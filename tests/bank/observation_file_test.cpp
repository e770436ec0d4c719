#include "mmra/bank/observation_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "expect_error.h"
#include "made_records.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "test_files.h"
#include "text_source.h"

namespace mmra::bank {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::HasSubstr;
using testing::made_record;
using testing::TemporaryDirectory;
using testing::text_source;

std::vector<ObservationRow> rows_of(const std::string& text) {
  std::vector<ObservationRow> rows;
  read_observations(text_source(text), "counts", [&](const ObservationRow& row) {
    rows.push_back(row);
    return true;
  });
  return rows;
}

TEST(ObservationFile, IsCsvOrJsonLines) {
  for (const char* text :
       {"observed_at,more,id,popularity\n2024-07-14T09:30:00Z,x,a,12\n1720949401,,b,0.5\n",
        "{\"id\":\"a\",\"popularity\":12,\"observed_at\":\"2024-07-14T09:30:00Z\"}\n"
        "{\"id\":\"b\",\"popularity\":0.5,\"observed_at\":1720949401,\"more\":true}"}) {
    const auto rows = rows_of(text);
    ASSERT_EQ(rows.size(), 2U) << text;
    EXPECT_EQ(rows[0].observation.id, "a");
    EXPECT_EQ(rows[0].observation.observation, (Observation{{1720949400000}, 12.0}));
    EXPECT_EQ(rows[1].observation.observation, (Observation{{1720949401000}, 0.5}));
  }
}

TEST(ObservationFile, NamesLineAndColumnOfWhatIsWrong) {
  const auto refused = [](const std::string& text, const std::string& what) {
    expect_error(ErrorKind::kInvalidInput, what, [&] { rows_of(text); });
  };
  refused("id,popularity\na,1\n", "no column \"observed_at\"");
  refused("id,popularity,observed_at\na,1,\n", "line 2, column 3 (observed_at)");
  refused("id,popularity,observed_at\na,,5\n", "line 2, column 2 (popularity)");
  refused("id,popularity,observed_at\na,-1,5\n", "column 2 (popularity)");
  refused("id,popularity,observed_at\na,1,soon\n", "column 3 (observed_at)");
  refused("id,popularity,observed_at\n,1,5\n", "column 1 (id)");
  refused("{\"id\":\"a\",\"popularity\":1}\n", "no \"observed_at\"");
}

class UpdateFromFile : public ::testing::Test {
 protected:
  UpdateFromFile() : bank_(create_bank(directory_ / "bank", testing::small_schema())) {
    StoredRecord stored = made_record("a");
    stored.record.posted_at = Timestamp{0};
    stored.record.popularity = 1.0;
    bank_->put({&stored, 1});
  }
  UpdateReport update(const std::string& text) {
    write_file_atomically(directory_ / "counts.csv", text);
    UpdateOptions options;
    options.note = [&](const std::string& line) { notes_.push_back(line); };
    options.acknowledge = [&](const UpdateReport& so_far) { acknowledged_ = so_far.num_rows; };
    return update_from_file(*bank_, directory_ / "counts.csv", options);
  }

  TemporaryDirectory directory_;
  std::unique_ptr<MemoryBank> bank_;
  std::vector<std::string> notes_;
  std::int64_t acknowledged_ = 0;
};

TEST_F(UpdateFromFile, SaysWhatItDidAndWhatItLeftOut) {
  const std::string text =
      "id,popularity,observed_at\na,10,604800\nnobody,5,604800\na,2,-5\na,20,604801\n";
  UpdateReport report = update(text);
  EXPECT_EQ(report.num_rows, 4);
  EXPECT_EQ(report.num_added, 2);
  EXPECT_EQ(report.num_unknown, 1);
  EXPECT_EQ(report.num_early, 1);
  EXPECT_EQ(acknowledged_, 4);
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("line 3: \"nobody\""), HasSubstr("line 4: \"a\"")));
  EXPECT_EQ(bank_->find("a")->popularity, 10.0) << "after 7 days, as the bank's schema says";
  const std::uint64_t generation = bank_->info().generation;
  report = update(text);
  EXPECT_EQ(report.num_added, 0);
  EXPECT_EQ(report.num_unchanged, 2);
  EXPECT_EQ(bank_->info().generation, generation) << "nothing to write";
}

TEST_F(UpdateFromFile, WithAFaultChangesNothing) {
  expect_error(ErrorKind::kInvalidInput, "line 3",
               [&] { update("id,popularity,observed_at\na,10,604800\na,ten,604800\n"); });
  EXPECT_EQ(bank_->find("a")->popularity, 1.0);
  EXPECT_EQ(acknowledged_, 0);
}

}  // namespace
}  // namespace mmra::bank
