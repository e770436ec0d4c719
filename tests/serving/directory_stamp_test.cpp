#include "mmra/serving/directory_stamp.h"

#include <gtest/gtest.h>

#include <fstream>

#include "test_files.h"

namespace mmra::serving {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& file, const std::string& text) { std::ofstream(file) << text; }

TEST(DirectoryStamp, ChangesWithWhateverIsDoneToAFile) {
  const mmra::testing::TemporaryDirectory root;
  const fs::path model = root.path() / "model";
  fs::create_directories(model / "part");
  write(model / "a", "one");
  write(model / "part" / "b", "two");
  auto before = directory_stamp(model);
  ASSERT_TRUE(before);
  EXPECT_EQ(directory_stamp(model), before);
  const auto expect_change = [&](const char* what) {
    const auto now = directory_stamp(model);
    EXPECT_TRUE(now);
    EXPECT_NE(now, before) << what;
    before = now;
  };
  write(model / "part" / "b", "twoo");
  expect_change("written below");
  write(root.path() / "other", "one");
  fs::rename(root.path() / "other", model / "a");
  expect_change("replaced by one of the same bytes");
  fs::remove(model / "a");
  expect_change("removed");
  fs::rename(model, root.path() / "old");
  fs::copy(root.path() / "old", model, fs::copy_options::recursive);
  expect_change("the directory replaced");
}

TEST(DirectoryStamp, FollowsALinkThatIsTurned) {
  const mmra::testing::TemporaryDirectory root;
  for (const char* name : {"a", "b"}) fs::create_directory(root.path() / name);
  fs::create_directory_symlink("a", root.path() / "model");
  const auto before = directory_stamp(root.path() / "model");
  fs::remove(root.path() / "model");
  fs::create_directory_symlink("b", root.path() / "model");
  EXPECT_NE(directory_stamp(root.path() / "model"), before);
}

TEST(DirectoryStamp, OfNothingIsNothing) {
  const mmra::testing::TemporaryDirectory root;
  EXPECT_EQ(directory_stamp(root.path() / "no-model"), std::nullopt);
  fs::create_directory(root.path() / "model");
  fs::create_symlink("nowhere", root.path() / "model" / "lost");
  EXPECT_EQ(directory_stamp(root.path() / "model"), std::nullopt);
}

}  // namespace
}  // namespace mmra::serving
