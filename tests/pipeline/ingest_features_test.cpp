#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "expect_error.h"
#include "made_bank.h"
#include "made_features.h"
#include "mmra/bank/failures.h"
#include "mmra/pipeline/feature_file.h"
#include "mmra/pipeline/ingest.h"
#include "mmra/pipeline/query.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::SizeIs;

// Ids are not in the order of the rows: the file's row i belongs to the manifest's row i.
const char* const kManifest = "id,title,popularity\nd,boat,1\nb,cake,2\na,tiger,3\nc,tea,4\n";
const std::vector<std::string> kIds{"d", "b", "a", "c"};

class IngestFeatures : public ::testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path path(const std::string& name) const {
    return directory_ / name;
  }
  IngestReport ingest_rows(const IngestOptions& options,
                           const std::string& manifest = kManifest) const {
    return ingest_text(directory_.path(), manifest, options);
  }
  [[nodiscard]] bank::Features features(const std::string& id) const {
    return open_made_bank(directory_.path())->find_features(id).value();
  }
  [[nodiscard]] static std::vector<float> floats_of(const HalfTokenMatrix& tokens) {
    std::vector<float> values(tokens.values.size());
    halves_to_floats(tokens.values, values);
    return values;
  }
  /// All three kinds, with dims that no encoder of ours has.
  [[nodiscard]] IngestOptions all_files() const {
    std::vector<float> vectors;
    for (int row = 0; row < 4; ++row) {
      for (int i = 0; i < 4; ++i) vectors.push_back(i == row ? 2.0F : 0.0F);
    }
    write_npy(path("v.npy"), rising_rows(4, 3 * 2), "(4, 3, 2)");
    write_one_tensor(path("t.safetensors"), DataType::kFloat32, {4, 5},
                     bytes_of(rising_rows(4, 5)));
    write_npy(path("r.npy"), vectors, "(4, 4)");
    IngestOptions options;
    options.visual_features = path("v.npy");
    options.text_features = path("t.safetensors");
    options.retrieval_vectors = path("r.npy");
    return options;
  }

  TemporaryDirectory directory_;
};

TEST_F(IngestFeatures, RowIBelongsToTheManifestsRowI) {
  IngestOptions options = all_files();
  options.num_jobs = 3;
  EXPECT_EQ(ingest_rows(options).num_added, 4);
  const bank::BankSchema schema = open_made_bank(directory_.path())->info().schema;
  EXPECT_EQ(schema.visual_dim, 2);
  EXPECT_EQ(schema.text_dim, 5);
  EXPECT_EQ(schema.retrieval_dim, 4);
  EXPECT_EQ(schema.encoders_name, "builtin+visual,text,retrieval features");
  for (std::size_t row = 0; row < kIds.size(); ++row) {
    const bank::Features stored = features(kIds[row]);
    const float value = static_cast<float>(row) + 0.25F;
    EXPECT_EQ(stored.visual_tokens.num_tokens, 3);
    EXPECT_THAT(floats_of(stored.visual_tokens), Each(value)) << kIds[row];
    EXPECT_EQ(stored.text_tokens.num_tokens, 1);
    EXPECT_THAT(floats_of(stored.text_tokens), Each(value)) << kIds[row];
    std::vector<float> unit(4);
    unit[row] = 1.0F;
    EXPECT_EQ(stored.retrieval_vector, unit) << kIds[row];
  }
}

TEST_F(IngestFeatures, PartsThatAreNotGivenAreMadeByTheEncoders) {
  IngestOptions options = all_files();
  options.text_features.clear();
  options.retrieval_vectors.clear();
  (void)ingest_rows(options);
  const bank::Features stored = features("b");
  EXPECT_THAT(floats_of(stored.visual_tokens), Each(1.25F));
  EXPECT_GT(stored.text_tokens.num_tokens, 0);
  EXPECT_EQ(stored.text_tokens.dim, 512);
  EXPECT_EQ(open_made_bank(directory_.path())->info().schema.encoders_name,
            "builtin+visual features");
}

TEST_F(IngestFeatures, ASecondRunDoesNothingAndAChangedFileOnlyWhatChanged) {
  IngestOptions options = all_files();
  (void)ingest_rows(options);
  EXPECT_EQ(ingest_rows(options).num_unchanged, 4);
  std::vector<float> values = rising_rows(4, 3 * 2);
  values[2 * 6] = 99.0F;
  write_npy(path("v.npy"), values, "(4, 3, 2)");
  const IngestReport report = ingest_rows(options);
  EXPECT_EQ(report.num_updated, 1);
  EXPECT_EQ(report.num_unchanged, 3);
  EXPECT_EQ(floats_of(features("a").visual_tokens).at(0), 99.0F);
}

TEST_F(IngestFeatures, TokensMayStandForATitleAndAVideo) {
  IngestOptions options = all_files();
  const std::string manifest = "id,title,popularity\nd,,1\nb,,2\na,,3\nc,,4\n";
  EXPECT_EQ(ingest_rows(options, manifest).num_added, 4);
  EXPECT_THAT(floats_of(features("c").text_tokens), Each(3.25F));
}

TEST_F(IngestFeatures, ARowWithAValueThatIsNotFiniteFailsAlone) {
  IngestOptions options = all_files();
  std::vector<float> values = rising_rows(4, 5);
  values[6] = std::numeric_limits<float>::infinity();
  write_npy(path("t.npy"), values, "(4, 5)");
  options.text_features = path("t.npy");
  const IngestReport report = ingest_rows(options);
  EXPECT_EQ(report.num_added, 3);
  const auto failures = bank::read_failures(bank::failures_file(path("bank")));
  ASSERT_THAT(failures, SizeIs(1));
  EXPECT_EQ(failures[0].id, "b");
  EXPECT_THAT(failures[0].what, ::testing::HasSubstr("t.npy, row 1"));
}

TEST_F(IngestFeatures, RefusesFilesThatDoNotFitBeforeAnythingIsWritten) {
  IngestOptions options = all_files();
  expect_error(ErrorKind::kInvalidInput, "has 4 rows, the manifest has 2", [&] {
    (void)ingest_rows(options, "id,title,popularity\na,a boat,1\nb,a cake,2\n");
  });
  options.retrieval_vectors = path("v.npy");
  expect_error(ErrorKind::kInvalidInput, "has tokens; retrieval vectors are [rows x dim]",
               [&] { (void)ingest_rows(options); });
  options.retrieval_vectors = path("none.npy");
  expect_error(ErrorKind::kNotFound, "none.npy", [&] { (void)ingest_rows(options); });
  EXPECT_FALSE(std::filesystem::exists(path("bank")));
}

TEST_F(IngestFeatures, ABankNeverMixesFeaturesOfTwoOrigins) {
  IngestOptions options = all_files();
  options.text_features.clear();
  options.retrieval_vectors.clear();
  (void)ingest_rows(options);
  // What the encoders would make has another dim, or worse: the same one.
  expect_error(ErrorKind::kInvalidInput,
               "made by builtin+visual features, this run has builtin: give",
               [&] { (void)ingest_rows({}, std::string(kManifest) + "e,new,5\n"); });
  write_npy(path("w.npy"), rising_rows(4, 3), "(4, 3)");
  options.visual_features = path("w.npy");
  expect_error(ErrorKind::kInvalidInput, "has the dim 3, the bank's is 2",
               [&] { (void)ingest_rows(options); });

  const TemporaryDirectory plain;
  (void)ingest_text(plain.path(), kManifest);
  expect_error(ErrorKind::kInvalidInput, "made by builtin, this run has builtin+visual features",
               [&] { (void)ingest_text(plain.path(), kManifest, options); });
}

TEST_F(IngestFeatures, NothingNewIsComparedWithVectorsMadeElsewhere) {
  (void)ingest_rows(all_files());
  const auto bank = open_made_bank(directory_.path());
  Query query;
  query.title = "a boat";
  expect_error(ErrorKind::kInvalidInput, "--id",
               [&] { (void)search_bank(*bank, path("bank"), query, 2, 1, {}); });
  query.title.clear();
  query.id = "b";
  const SearchResult result = search_bank(*bank, path("bank"), query, 2, 1, {});
  ASSERT_THAT(result.instances, SizeIs(2));
  EXPECT_EQ(result.instances[0].id, "a") << "all similarities are 0: ties go by id";
  EXPECT_EQ(result.instances[0].similarity, 0.0);
}

TEST_F(IngestFeatures, TokensMadeElsewhereLeaveSearchAlone) {
  IngestOptions options = all_files();
  options.retrieval_vectors.clear();
  (void)ingest_rows(options);
  const auto bank = open_made_bank(directory_.path());
  Query query;
  query.title = "boat";
  EXPECT_EQ(search_bank(*bank, path("bank"), query, 1, 1, {}).instances.at(0).id, "d");
}

TEST(ForeignFeatures, AreWhatTheNameSays) {
  const ForeignFeatures none = foreign_features("builtin");
  EXPECT_FALSE(none.visual || none.text || none.retrieval);
  const ForeignFeatures some = foreign_features("builtin+visual,retrieval features");
  EXPECT_TRUE(some.visual && some.retrieval);
  EXPECT_FALSE(some.text);
}

}  // namespace
}  // namespace mmra::pipeline::testing
