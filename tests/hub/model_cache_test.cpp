#include "mmra/hub/model_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "mmra/hub/digest.h"
#include "test_files.h"

namespace mmra::hub {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::TemporaryDirectory;

class ModelCacheTest : public ::testing::Test {
 protected:
  ModelCacheTest() { ::setenv("MMRA_MODELS", models_.path().c_str(), 1); }
  ~ModelCacheTest() override { ::unsetenv("MMRA_MODELS"); }

  /// A whole part with one file.
  void add_part(const std::string& set, Role role, const std::string& content = "weights") {
    const fs::path directory = models_ / set / name_of(role);
    make_directories(directory);
    write_file_atomically(directory / "model.safetensors", content);
    const FileDigest digest = digest_of(content);
    PartManifest manifest;
    manifest.repository = "o/n";
    manifest.revision = std::string(40, '1');
    manifest.files = {{"model.safetensors", digest.bytes, digest.sha256}};
    write_file_atomically(directory / kPartManifestName, to_json_text(manifest, role));
  }

  TemporaryDirectory models_;
};

TEST_F(ModelCacheTest, IsWhereTheEnvironmentSays) {
  EXPECT_EQ(models_directory(), models_.path());
  ::unsetenv("MMRA_MODELS");
  ::setenv("XDG_CACHE_HOME", "/cache", 1);
  EXPECT_EQ(models_directory(), "/cache/mmra/models");
  ::unsetenv("XDG_CACHE_HOME");
  ::setenv("HOME", "/home/somebody", 1);
  EXPECT_EQ(models_directory(), "/home/somebody/.cache/mmra/models");
  ::unsetenv("HOME");
  expect_error(ErrorKind::kInvalidInput, "set MMRA_MODELS", [] { (void)models_directory(); });
}

TEST_F(ModelCacheTest, FindsASetByNameAndADirectoryByItsPath) {
  add_part("mine", Role::kRetrieval);
  EXPECT_EQ(find_encoder_set("mine"), models_ / "mine");
  const std::string path = (models_ / "mine").string();
  EXPECT_EQ(find_encoder_set(path), path);
}

TEST_F(ModelCacheTest, ADirectoryNeedsNoManifest) {
  make_directories(models_ / "own" / "text");
  write_file_atomically(models_ / "own" / "text" / "config.json", "{}");
  EXPECT_EQ(find_encoder_set("own"), models_ / "own");
  EXPECT_EQ(find_encoder_set((models_ / "own").string()), models_ / "own");
}

TEST_F(ModelCacheTest, SaysWhichCommandGetsASet) {
  expect_error(ErrorKind::kNotFound, "mmra models pull paper gets it",
               [] { (void)find_encoder_set("paper"); });
  expect_error(ErrorKind::kNotFound, "mmra models pull BAAI/bge-base-en-v1.5 gets it",
               [] { (void)find_encoder_set("BAAI/bge-base-en-v1.5"); });
  expect_error(ErrorKind::kNotFound, "one of paper, paper-small",
               [] { (void)find_encoder_set("papre"); });
  expect_error(ErrorKind::kInvalidInput, "it has none of the folders",
               [&] { (void)find_encoder_set(models_.path().string()); });
}

TEST_F(ModelCacheTest, ASetThatIsNotWholeIsNoSet) {
  add_part("paper", Role::kRetrieval);
  expect_error(ErrorKind::kNotFound, "captioner, visual, text is missing",
               [] { (void)find_encoder_set("paper"); });
  for (const Role role : kRoles) add_part("paper", role);
  EXPECT_EQ(find_encoder_set("paper"), models_ / "paper");
  write_file_atomically(models_ / "paper" / "text" / kPartMarkerName, "");
  expect_error(ErrorKind::kNotFound, ": text is missing; mmra models pull paper goes on",
               [] { (void)find_encoder_set("paper"); });
}

TEST_F(ModelCacheTest, ADamagedPartIsNotWhole) {
  add_part("mine", Role::kText);
  EXPECT_TRUE(find_cached_part(models_ / "mine", Role::kText)->is_whole);
  EXPECT_EQ(find_cached_part(models_ / "mine", Role::kText)->bytes, 7);
  write_file_atomically(models_ / "mine" / "text" / "model.safetensors", "short");
  EXPECT_FALSE(find_cached_part(models_ / "mine", Role::kText)->is_whole);
  add_part("mine", Role::kText);
  write_file_atomically(models_ / "mine" / "text" / kPartManifestName, "{");
  EXPECT_FALSE(find_cached_part(models_ / "mine", Role::kText)->is_whole);
  EXPECT_TRUE(find_cached_part(models_ / "mine", Role::kText)->is_begun);
  EXPECT_EQ(find_cached_part(models_ / "mine", Role::kVisual), std::nullopt);
}

TEST_F(ModelCacheTest, ListsSetsByName) {
  EXPECT_TRUE(list_cached_sets(models_ / "none").empty());
  add_part("b", Role::kText);
  add_part("a", Role::kVisual);
  make_directories(models_ / "empty");
  write_file_atomically(models_ / "a file", "");
  const auto sets = list_cached_sets(models_.path());
  ASSERT_EQ(sets.size(), 2U);
  EXPECT_EQ(sets[0].name, "a");
  EXPECT_EQ(sets[1].parts.at(0).manifest.repository, "o/n");
}

TEST_F(ModelCacheTest, FindsAFileByItsDigest) {
  add_part("a", Role::kText, "the weights");
  const FileDigest digest = digest_of("the weights");
  EXPECT_EQ(find_stored_file(models_.path(), digest.sha256, digest.bytes),
            models_ / "a" / "text" / "model.safetensors");
  EXPECT_EQ(find_stored_file(models_.path(), digest.sha256, 5), std::nullopt);
  EXPECT_EQ(find_stored_file(models_.path(), std::string(64, '0'), digest.bytes), std::nullopt);
}

}  // namespace
}  // namespace mmra::hub
