#include "mmra/pipeline/query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "expect_error.h"
#include "made_bank.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

// Every word is in two titles at least, as retrieval wants it. "v" is unlabelled, "n" has no time.
const char* const kManifest =
    "id,title,popularity,posted_at,split,video\n"
    "a,red boat,1,2024-01-01T00:00:00Z,train,\n"
    "b,red boat,2,2024-01-02T00:00:00Z,valid,\n"
    "c,red boat,3,2024-01-03T00:00:00Z,test,\n"
    "d,blue cake,4,2024-01-04T00:00:00Z,train,\n"
    "e,blue cake,5,2024-01-05T00:00:00Z,train,\n"
    "n,red boat,6,,train,\n"
    "u,red boat,,2024-01-01T00:00:00Z,train,\n"
    "v,,7,2024-01-06T00:00:00Z,train,dark.mp4\n"
    "w,,8,2024-01-07T00:00:00Z,train,bright.mp4\n";

class Search : public ::testing::Test {
 protected:
  void SetUp() override {
    write_clip(directory_ / "dark.mp4", 20);
    write_clip(directory_ / "bright.mp4", 230);
    IngestOptions options;
    options.num_frames = 3;
    (void)ingest_text(directory_.path(), kManifest, options);
  }
  [[nodiscard]] SearchResult search(const Query& query, int k = 10) const {
    const auto bank = open_made_bank(directory_.path());
    return search_bank(*bank, directory_ / "bank", query, k, 2, {});
  }
  [[nodiscard]] std::vector<std::string> ids(const Query& query, int k = 10) const {
    std::vector<std::string> ids;
    for (const Instance& instance : search(query, k).instances) ids.push_back(instance.id);
    return ids;
  }
  static Query by_title(const std::string& title) {
    Query query;
    query.title = title;
    return query;
  }
  static Query by_id(const std::string& id) {
    Query query;
    query.id = id;
    return query;
  }

  TemporaryDirectory directory_;
};

TEST_F(Search, FindsByTitleInEverySplitWithTiesById) {
  EXPECT_THAT(ids(by_title("red boat"), 4), ElementsAre("a", "b", "c", "n"));
  const SearchResult result = search(by_title("red boat"), 4);
  for (const Instance& instance : result.instances) {
    EXPECT_NEAR(instance.similarity, 1.0, 1e-5);
    EXPECT_EQ(instance.title, "red boat");
    EXPECT_NEAR(instance.weight, 0.25, 1e-6);
  }
  EXPECT_EQ(result.instances[1].popularity, 2.0);
}

TEST_F(Search, NeverFindsARecordWithoutALabel) {
  EXPECT_THAT(ids(by_title("red boat"), 100), Not(Contains("u")));
  EXPECT_THAT(ids(by_title("red boat"), 100), SizeIs(8));
}

TEST_F(Search, NeverFindsTheRecordThatAsks) {
  for (const char* id : {"a", "b", "e", "n", "v"}) {
    EXPECT_THAT(ids(by_id(id), 100), Not(Contains(id))) << id;
  }
}

TEST_F(Search, NeverFindsTheRecordThatIsNamedAsItsOwn) {
  Query query = by_title("red boat");
  query.own_id = "b";
  EXPECT_THAT(ids(query, 3), ElementsAre("a", "c", "n"));
  query.own_id = "nobody";
  EXPECT_THAT(ids(query, 3), ElementsAre("a", "b", "c"));
}

TEST_F(Search, ARecordSeesOnlyWhatWasPostedBeforeIt) {
  EXPECT_THAT(ids(by_id("c"), 100), UnorderedElementsAre("a", "b"));
  EXPECT_THAT(ids(by_id("a"), 100), IsEmpty()) << "nothing is older";
  EXPECT_THAT(ids(by_id("n"), 100), SizeIs(7)) << "a record without a time sees all others";
}

TEST_F(Search, AsOfIsStrictAndLeavesOutRecordsWithoutATime) {
  Query query = by_title("red boat");
  query.as_of = parse_timestamp("2024-01-03T00:00:00Z");
  EXPECT_THAT(ids(query, 100), UnorderedElementsAre("a", "b"));
  query.as_of->ms += 1;
  EXPECT_THAT(ids(query, 100), UnorderedElementsAre("a", "b", "c"));
}

TEST_F(Search, AsOfGivenWinsOverTheRecordsOwnTime) {
  Query query = by_id("e");
  query.as_of = parse_timestamp("2024-01-02T00:00:00Z");
  EXPECT_THAT(ids(query, 100), ElementsAre("a"));
  query.as_of = parse_timestamp("2025-01-01T00:00:00Z");
  EXPECT_THAT(ids(query, 100), SizeIs(6)) << "and never itself";
}

TEST_F(Search, FindsByVideoAlone) {
  Query query;
  query.video = directory_ / "bright.mp4";
  EXPECT_EQ(ids(query, 1), std::vector<std::string>{"w"});
  query.video = directory_ / "dark.mp4";
  EXPECT_EQ(ids(query, 1), std::vector<std::string>{"v"});
}

TEST_F(Search, WeightsSumToOne) {
  double sum = 0.0;
  double previous = 1.0;
  for (const Instance& instance : search(by_title("red cake"), 5).instances) {
    EXPECT_LE(instance.weight, previous);
    previous = instance.weight;
    sum += instance.weight;
  }
  EXPECT_NEAR(sum, 1.0, 1e-9);
}

TEST_F(Search, NamesWhatIsMissing) {
  expect_error(ErrorKind::kNotFound, "\"nobody\"", [&] { (void)search(by_id("nobody")); });
  expect_error(ErrorKind::kInvalidInput, "nothing to ask about", [&] { (void)search({}); });
  Query query;
  query.video = directory_ / "gone.mp4";
  expect_error(ErrorKind::kNotFound, "gone.mp4", [&] { (void)search(query); });
  expect_error(ErrorKind::kInvalidInput, "k", [&] { (void)search(by_title("x"), 0); });
}

TEST_F(Search, AskedToStopItStops) {
  std::stop_source stop;
  stop.request_stop();
  Query query;
  query.video = directory_ / "dark.mp4";
  const auto bank = open_made_bank(directory_.path());
  EXPECT_THROW((void)search_bank(*bank, directory_ / "bank", query, 3, 1, stop.get_token()),
               Interrupted);
}

TEST_F(Search, ATitleWithoutWordsIsSimilarToNothing) {
  EXPECT_THAT(search(by_title("?!"), 3).instances, IsEmpty());
}

TEST_F(Search, ANewClipIsEncodedAsTheBanksOwnRows) {
  const auto bank = open_made_bank(directory_.path());
  const auto table = bank->table();
  const encoders::EncoderSet encoders =
      open_bank_encoders(directory_ / "bank", bank->info().schema);
  Query query;
  query.video = directory_ / "dark.mp4";
  const EncodedQuery fresh = encode_query(*bank, *table, encoders, query, 3, {});
  const EncodedQuery stored = encode_query(*bank, *table, encoders, by_id("v"), 1, {});
  EXPECT_EQ(fresh.features.visual_tokens.num_tokens, 3) << "the bank's number of frames";
  EXPECT_EQ(fresh.features.visual_tokens.values, stored.features.visual_tokens.values);
  EXPECT_EQ(fresh.features.retrieval_vector, stored.features.retrieval_vector);
  EXPECT_EQ(fresh.captions, stored.captions);
  EXPECT_EQ(fresh.thumbnails, stored.thumbnails);
  EXPECT_EQ(fresh.identity.own_row, std::nullopt);
  EXPECT_EQ(stored.identity.own_row, table->row_of("v"));
}

TEST(ParseContext, TypesValuesAsTheBankDoes) {
  bank::BankSchema schema;
  schema.context_columns = {{"followers", bank::ColumnType::kNumber},
                            {"creator", bank::ColumnType::kCategory}};
  const bank::Context context = parse_context({"followers=1200", "creator=a=b"}, schema);
  EXPECT_EQ(context, (bank::Context{{"followers", 1200.0}, {"creator", std::string("a=b")}}));
  EXPECT_EQ(parse_context({"creator=12", "followers="}, schema),
            (bank::Context{{"creator", std::string("12")}}))
      << "an empty value is not known";
  const std::pair<std::vector<std::string>, const char*> faults[] = {
      {{"followers"}, "not of the form name=value"},
      {{"=3"}, "not of the form name=value"},
      {{"followers=many"}, "must be a number"},
      {{"colour=red"}, "a column that the bank does not have"},
      {{"creator=a", "creator=b"}, "gives this column again"}};
  for (const auto& [items, part] : faults) {
    expect_error(ErrorKind::kInvalidInput, part,
                 [&, &given = items] { (void)parse_context(given, schema); });
  }
}

}  // namespace
}  // namespace mmra::pipeline::testing
