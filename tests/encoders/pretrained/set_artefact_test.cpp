#include "mmra/encoders/pretrained/set_artefact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "expect_error.h"
#include "made_models.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::encoders::testing {
namespace {

namespace fs = std::filesystem;
using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using ::testing::Contains;
using ::testing::Field;
using ::testing::SizeIs;

class Artefact : public ::testing::Test {
 protected:
  void SetUp() override { make_set(set()); }
  [[nodiscard]] fs::path set() const { return directory_ / "small"; }
  [[nodiscard]] fs::path artefact() const { return directory_ / "artefact"; }
  void freeze() const { write_set_artefact(survey_set(set()), artefact()); }
  void expect_refused(ErrorKind kind, const std::string& part) const {
    expect_error(kind, part, [&] { (void)read_set_artefact(artefact()); });
  }
  /// Another time than the one that was noted.
  static void touch(const fs::path& file) {
    fs::last_write_time(file, fs::last_write_time(file) + std::chrono::seconds(7));
  }
  TemporaryDirectory directory_;
};

TEST_F(Artefact, SaysWhatTheSetIs) {
  const SetArtefact found = survey_set(set());
  EXPECT_EQ(found.name, "small");
  EXPECT_EQ(found.visual_dim, kMadeWidth);
  EXPECT_EQ(found.text_dim, kMadeWidth);
  EXPECT_EQ(found.retrieval_dim, kMadeWidth);
  EXPECT_EQ(found.find(hub::Role::kCaptioner), nullptr);
  ASSERT_NE(found.find(hub::Role::kText), nullptr);
  EXPECT_THAT(found.find(hub::Role::kText)->files, SizeIs(3));
  EXPECT_THAT(found.find(hub::Role::kVisual)->files,
              Contains(Field(&SetFile::name, "preprocessor_config.json")));
}

TEST_F(Artefact, IsReadBackAsItWasWritten) {
  freeze();
  const SetArtefact written = survey_set(set());
  const SetArtefact read = read_set_artefact(artefact());
  EXPECT_EQ(read.fingerprint, written.fingerprint);
  EXPECT_EQ(read.directory, written.directory);
  ASSERT_EQ(read.parts.size(), written.parts.size());
  for (std::size_t i = 0; i < read.parts.size(); ++i) {
    EXPECT_EQ(read.parts[i].role, written.parts[i].role);
    EXPECT_EQ(read.parts[i].directory, written.parts[i].directory);
    EXPECT_EQ(read.parts[i].settings, written.parts[i].settings);
    EXPECT_EQ(read.parts[i].files, written.parts[i].files);
  }
}

TEST_F(Artefact, TheFingerprintIsOfWhatItComputesNotOfWhereItLies) {
  const std::string before = survey_set(set()).fingerprint;
  fs::copy(set(), directory_ / "elsewhere", fs::copy_options::recursive);
  EXPECT_EQ(survey_set(directory_ / "elsewhere").fingerprint, before);
  write_json(set() / "retrieval/mmra.json", {{"pooling", "cls"}});
  EXPECT_NE(survey_set(set()).fingerprint, before) << "another pooling is another encoder";
  fs::remove(set() / "retrieval/mmra.json");
  EXPECT_EQ(survey_set(set()).fingerprint, before);
  make_bert(set() / "text", 99);
  EXPECT_NE(survey_set(set()).fingerprint, before) << "other weights are another encoder";
}

TEST_F(Artefact, AFileThatOnlyLooksChangedIsReadAgainAndTaken) {
  freeze();
  touch(set() / "text/model.safetensors");
  EXPECT_EQ(read_set_artefact(artefact()).fingerprint, survey_set(set()).fingerprint);
}

TEST_F(Artefact, AFileThatIsAnotherIsRefusedByName) {
  freeze();
  make_bert(set() / "text", 99);  // as many bytes
  touch(set() / "text/model.safetensors");
  expect_refused(ErrorKind::kInvalidInput, "text/model.safetensors is not the file");
}

TEST_F(Artefact, ASetThatIsGoneIsLookedForInTheCache) {
  freeze();
  make_directories(directory_ / "cache");
  ::setenv("MMRA_MODELS", (directory_ / "cache").c_str(), 1);
  fs::rename(set(), directory_ / "cache/small");
  EXPECT_EQ(read_set_artefact(artefact()).directory, directory_ / "cache/small");
  fs::remove_all(directory_ / "cache/small");
  expect_refused(ErrorKind::kNotFound, "mmra models pull small");
  ::unsetenv("MMRA_MODELS");
}

TEST_F(Artefact, DamageIsFound) {
  freeze();
  const fs::path file = artefact() / "encoders.json";
  const std::string whole = read_file(file);
  const auto write_and_refuse = [&](const std::string& text, ErrorKind kind,
                                    const std::string& part) {
    write_file_atomically(file, text);
    expect_refused(kind, part);
  };
  write_and_refuse(whole.substr(0, whole.size() / 2), ErrorKind::kCorruptData, "no JSON object");
  nlohmann::json document = nlohmann::json::parse(whole);
  document["version"] = 2;
  write_and_refuse(document.dump(), ErrorKind::kUnsupported, "version 2");
  document = nlohmann::json::parse(whole);
  document["text_dim"] = 9;
  write_and_refuse(document.dump(), ErrorKind::kCorruptData, "fingerprint");
  document = nlohmann::json::parse(whole);
  document["parts"][0]["role"] = "singer";
  write_and_refuse(document.dump(), ErrorKind::kCorruptData, "role");
  document.erase("parts");
  write_and_refuse(document.dump(), ErrorKind::kCorruptData, "parts");
}

TEST_F(Artefact, WhatIsNoSetIsSaidToBeNone) {
  expect_error(ErrorKind::kNotFound, "nowhere", [&] { (void)survey_set(directory_ / "nowhere"); });
  expect_error(ErrorKind::kNotFound, "none of the folders captioner/",
               [&] { (void)survey_set(set() / "text"); });
  fs::remove_all(set() / "text");
  make_vit(set() / "text");
  expect_error(ErrorKind::kUnsupported, "\"vit\"; as text this program runs \"bert\"",
               [&] { (void)survey_set(set()); });
}

TEST_F(Artefact, AMissingPartIsMissing) {
  fs::remove_all(set() / "visual");
  const SetArtefact found = survey_set(set());
  EXPECT_EQ(found.visual_dim, 0);
  EXPECT_EQ(found.find(hub::Role::kVisual), nullptr);
}

TEST_F(Artefact, SettingsComeFromWhoeverSaysThem) {
  const fs::path part = set() / "retrieval";
  EXPECT_EQ(read_part_settings(part), hub::PartSettings{});
  make_directories(part / "1_Pooling");
  write_json(part / "1_Pooling/config.json",
             {{"pooling_mode_cls_token", true}, {"pooling_mode_mean_tokens", false}});
  write_json(part / "sentence_bert_config.json", {{"max_seq_length", 77}});
  EXPECT_EQ(read_part_settings(part).pooling, hub::Pooling::kCls);
  EXPECT_EQ(read_part_settings(part).max_tokens, 77);
  write_json(part / "1_Pooling/config.json",
             {{"pooling_mode_cls_token", false}, {"pooling_mode_max_tokens", true}});
  expect_error(ErrorKind::kUnsupported, "1_Pooling", [&] { (void)read_part_settings(part); });
  write_json(part / "mmra.json", {{"pooling", "cls_avg"}, {"prompt", "find: {text}"}});
  EXPECT_EQ(read_part_settings(part).pooling, hub::Pooling::kClsAvg) << "ours goes first";
  EXPECT_EQ(read_part_settings(part).prompt, "find: {text}");
}

}  // namespace
}  // namespace mmra::encoders::testing
