#include "mmra/bank/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "expect_error.h"
#include "made_records.h"
#include "mmra/bank/bank_state.h"
#include "mmra/bank/manifest.h"
#include "mmra/core/files.h"
#include "mmra/core/safetensors.h"
#include "test_files.h"

namespace mmra::bank {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::made_record;
using testing::small_schema;
using testing::TemporaryDirectory;
using ::testing::UnorderedElementsAre;

template <typename Value>
std::vector<Value> values_of(const TensorView& tensor) {
  std::vector<Value> values(tensor.bytes.size() / sizeof(Value));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

class Export : public ::testing::Test {
 protected:
  Export() : bank_(create_bank(directory_ / "bank", small_schema())) {}
  void put(const StoredRecord& stored) { bank_->put({&stored, 1}); }
  [[nodiscard]] std::filesystem::path out(const std::string& name = "") const {
    return name.empty() ? directory_ / "out" : directory_.path() / "out" / name;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<MemoryBank> bank_;
};

TEST_F(Export, WritesARecordsWhatAndFeaturesInTheSameOrder) {
  std::vector<StoredRecord> stored;
  for (const char* id : {"a", "b", "c"}) stored.push_back(made_record(id));
  stored[1].features.visual_tokens = {0, 2, {}};
  stored[1].record.captions.clear();
  for (const StoredRecord& one : stored) put(one);
  EXPECT_EQ(export_bank(*bank_, out()), 3);

  const SafetensorsFile file(out("features.safetensors"));
  EXPECT_EQ(file.metadata().at("format"), "mmra-export-1");
  ASSERT_EQ(file.tensors().size(), 5U);
  EXPECT_THAT(file.tensor("retrieval_vectors").shape, ElementsAre(3, 4));
  EXPECT_THAT(values_of<std::int64_t>(file.tensor("visual_offsets")), ElementsAre(0, 3, 3, 6));
  EXPECT_THAT(file.tensor("visual_tokens").shape, ElementsAre(6, 2));
  EXPECT_EQ(file.tensor("visual_tokens").type, DataType::kFloat16);
  const auto text_offsets = values_of<std::int64_t>(file.tensor("text_offsets"));
  ASSERT_EQ(text_offsets.size(), 4U);
  EXPECT_THAT(file.tensor("text_tokens").shape, ElementsAre(text_offsets[3], 3));

  const auto vectors = values_of<float>(file.tensor("retrieval_vectors"));
  const auto visual = values_of<Float16Bits>(file.tensor("visual_tokens"));
  const auto text = values_of<Float16Bits>(file.tensor("text_tokens"));
  std::vector<float> expected_vectors;
  std::vector<Float16Bits> expected_visual;
  std::vector<Float16Bits> expected_text;
  for (const auto& [record, features, history] : stored) {
    const auto append = [](auto& to, const auto& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    append(expected_vectors, features.retrieval_vector);
    append(expected_visual, features.visual_tokens.values);
    append(expected_text, features.text_tokens.values);
  }
  EXPECT_EQ(vectors, expected_vectors);
  EXPECT_EQ(visual, expected_visual);
  EXPECT_EQ(text, expected_text);

  std::istringstream captions(read_file(out("captions.jsonl")));
  std::vector<std::string> ids;
  for (std::string line; std::getline(captions, line);) {
    const auto object = nlohmann::json::parse(line);
    ids.push_back(object.at("id"));
    EXPECT_EQ(object.at("captions"), made_record(ids.back()).record.captions);
  }
  EXPECT_THAT(ids, ElementsAre("a", "c")) << "only records that have captions";
}

TEST_F(Export, VideosCsvIsAManifestThatGivesTheSameRecords) {
  for (const char* id : {"a", "b, \"quoted\"", "日本"}) {
    StoredRecord stored = made_record(id);
    stored.record.title = "line\nbreak, \"quotes\" and " + stored.record.title;
    if (stored.record.id == "a") stored.record.popularity.reset();
    if (stored.record.id == "日本") stored.record.context.clear();
    put(stored);
  }
  EXPECT_EQ(export_bank(*bank_, out()), 3);
  const auto rows = load_manifest(out("videos.csv"), bank_->info().schema.context_columns);
  ASSERT_EQ(rows.size(), 3U);
  for (const ManifestRow& row : rows) {
    const auto record = bank_->find(row.id);
    ASSERT_TRUE(record.has_value()) << row.id;
    EXPECT_EQ(row.title, record->title);
    EXPECT_EQ(row.popularity, record->popularity);
    EXPECT_EQ(row.posted_at, record->posted_at);
    EXPECT_EQ(row.split, record->split);
    EXPECT_EQ(row.context, record->context);
    EXPECT_EQ(row.video_path, record->video_path);
  }
}

TEST_F(Export, BankJsonIsTheSchemaAndTheNumberOfRecords) {
  put(made_record("a"));
  (void)export_bank(*bank_, out());
  const std::string text = read_file(out("bank.json"));
  EXPECT_EQ(nlohmann::json::parse(text).at("records"), 1);
  const BankSchema schema = parse_schema(text, "export");
  EXPECT_EQ(to_json_text(schema), to_json_text(small_schema()));
}

TEST_F(Export, OfAnEmptyBankHasEmptyTensors) {
  EXPECT_EQ(export_bank(*bank_, out()), 0);
  const SafetensorsFile file(out("features.safetensors"));
  EXPECT_THAT(file.tensor("retrieval_vectors").shape, ElementsAre(0, 4));
  EXPECT_THAT(file.tensor("text_offsets").shape, ElementsAre(1));
  EXPECT_EQ(read_file(out("captions.jsonl")), "");
}

TEST_F(Export, LeavesNothingButItsFourFiles) {
  put(made_record("a"));
  (void)export_bank(*bank_, out());
  (void)export_bank(*bank_, out());
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(out())) {
    names.push_back(entry.path().filename());
  }
  EXPECT_THAT(names, UnorderedElementsAre("videos.csv", "captions.jsonl", "features.safetensors",
                                          "bank.json"));
}

// bank.json is written last: a directory that has it is whole. That holds the second time too.
TEST_F(Export, ThatFailsLeavesNoBankJson) {
  put(made_record("a"));
  (void)export_bank(*bank_, out());
  std::filesystem::remove(out("captions.jsonl"));
  std::filesystem::create_directory(out("captions.jsonl"));
  EXPECT_THROW((void)export_bank(*bank_, out()), Error);
  EXPECT_FALSE(std::filesystem::exists(out("bank.json")));
}

TEST_F(Export, NamesADirectoryThatCannotBeMade) {
  write_file_atomically(directory_ / "file", "");
  expect_error(ErrorKind::kNotFound, (directory_ / "file").string(),
               [&] { (void)export_bank(*bank_, directory_ / "file" / "out"); });
}

}  // namespace
}  // namespace mmra::bank
