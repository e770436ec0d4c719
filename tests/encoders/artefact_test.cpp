#include "mmra/encoders/builtin/artefact.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "mmra/encoders/encoder_set.h"
#include "test_files.h"

namespace mmra::encoders {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;

const std::vector<std::string> kTitles{"a cat dances, funny", "a dog dances, funny",
                                       "a cat sings a song", "a dog sings a song",
                                       "a bird sings, funny"};

void overwrite(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

class Artefact : public ::testing::Test {
 protected:
  void SetUp() override { fit_builtin(kTitles, directory_.path()); }
  void expect_refused(ErrorKind kind, const std::string& part) {
    expect_error(kind, part, [&] { (void)open_encoder_set(directory_.path()); });
  }
  TemporaryDirectory directory_;
  std::filesystem::path json_ = directory_ / "encoders.json";
  std::filesystem::path tensors_ = directory_ / "builtin.safetensors";
};

TEST_F(Artefact, ComesBackAsItWasFitted) {
  const FittedText fitted = fit_text(kTitles, 1);
  const BuiltinArtefact artefact(directory_.path());
  const TextModel& model = artefact.model();
  EXPECT_EQ(model.num_titles, 5);
  EXPECT_EQ(model.token_scale, fitted.token_scale);
  EXPECT_EQ(std::vector(model.hashes.begin(), model.hashes.end()), fitted.hashes);
  EXPECT_EQ(std::vector(model.title_counts.begin(), model.title_counts.end()), fitted.title_counts);
  EXPECT_EQ(std::vector(model.token_basis.begin(), model.token_basis.end()), fitted.token_basis);
  EXPECT_EQ(std::vector(model.retrieval_basis.begin(), model.retrieval_basis.end()),
            fitted.retrieval_basis);
  EXPECT_EQ(std::vector(model.hashed_basis.begin(), model.hashed_basis.end()), fitted.hashed_basis);
}

TEST_F(Artefact, SameTitlesSameBytes) {
  const TemporaryDirectory other;
  fit_builtin(kTitles, other / "deep/below");
  EXPECT_EQ(read_file(other / "deep/below/encoders.json"), read_file(json_));
  EXPECT_EQ(read_file(other / "deep/below/builtin.safetensors"), read_file(tensors_));
}

TEST_F(Artefact, OtherTitlesOtherFingerprint) {
  const TemporaryDirectory other;
  fit_builtin(std::vector<std::string>{"one", "two"}, other.path());
  EXPECT_NE(open_encoder_set(other.path()).fingerprint(),
            open_encoder_set(directory_.path()).fingerprint());
}

TEST_F(Artefact, MayBeFittedAgain) {
  fit_builtin({}, directory_.path());
  EXPECT_EQ(BuiltinArtefact(directory_.path()).model().num_titles, 0);
}

TEST_F(Artefact, MissingFilesAreNamed) {
  std::filesystem::remove(tensors_);
  expect_refused(ErrorKind::kNotFound, "builtin.safetensors");
  std::filesystem::remove(json_);
  expect_refused(ErrorKind::kNotFound, "encoders.json");
  expect_error(ErrorKind::kNotFound, "nowhere",
               [&] { (void)open_encoder_set(directory_ / "nowhere"); });
}

TEST_F(Artefact, RefusesCutFiles) {
  const std::string tensors = read_file(tensors_);
  overwrite(tensors_, tensors.substr(0, tensors.size() - 1));
  expect_refused(ErrorKind::kCorruptData, "builtin.safetensors has " +
                                              std::to_string(tensors.size() - 1) +
                                              " bytes, expected " + std::to_string(tensors.size()));
  overwrite(tensors_, "");
  expect_refused(ErrorKind::kCorruptData, "has 0 bytes");
}

TEST_F(Artefact, RefusesFlippedBytes) {
  const std::string tensors = read_file(tensors_);
  for (std::size_t at = 0; at < tensors.size(); at += tensors.size() / 23) {
    std::string flipped = tensors;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    overwrite(tensors_, flipped);
    expect_refused(ErrorKind::kCorruptData, "has the checksum");
  }
}

TEST_F(Artefact, RefusesAnyChangeOfTheDescription) {
  const std::string json = read_file(json_);
  overwrite(json_, replaced(json, "\"num_titles\": 5", "\"num_titles\": 6"));
  expect_refused(ErrorKind::kCorruptData, "has the fingerprint");
  overwrite(json_, replaced(json, "\"fingerprint\"", "\"fingerprunt\""));
  expect_refused(ErrorKind::kCorruptData, "has the fingerprint");
  overwrite(json_, json.substr(0, json.size() / 2));
  expect_refused(ErrorKind::kCorruptData, "is not a JSON object");
  overwrite(json_, "[]");
  expect_refused(ErrorKind::kCorruptData, "is not a JSON object");
  overwrite(json_, "{}");
  expect_refused(ErrorKind::kCorruptData, "does not say its kind");
  overwrite(json_, "{\"kind\": \"builtin\"}");
  expect_refused(ErrorKind::kCorruptData, "does not say its version");
}

TEST_F(Artefact, NamesKindsAndVersionsThatItDoesNotKnow) {
  const std::string json = read_file(json_);
  overwrite(json_, replaced(json, "\"version\": 1", "\"version\": 99"));
  expect_refused(ErrorKind::kUnsupported, "version 99, this build reads version 1");
  overwrite(json_, replaced(json, "\"builtin\",", "\"foreign\","));
  expect_refused(ErrorKind::kUnsupported, "\"foreign\"");
}

TEST_F(Artefact, NoByteOfTheDescriptionCanBreakTheReader) {
  const std::string json = read_file(json_);
  for (std::size_t at = 0; at < json.size(); ++at) {
    std::string changed = json;
    changed[at] = static_cast<char>(changed[at] ^ 0x05);
    overwrite(json_, changed);
    try {
      (void)open_encoder_set(directory_.path());
      // White space and the like may change without changing what is described.
      EXPECT_TRUE(json[at] == ' ' || json[at] == '\n') << "byte " << at << " was not missed";
    } catch (const Error&) {
    }
  }
}

TEST_F(Artefact, RefusesADirectoryInTheWay) {
  const TemporaryDirectory other;
  overwrite(other / "file", "x");
  expect_error(ErrorKind::kNotFound, "file: Not a directory",
               [&] { fit_builtin(kTitles, other / "file"); });
}

}  // namespace
}  // namespace mmra::encoders
