#include "mmra/hub/part_settings.h"

#include <gtest/gtest.h>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::hub {
namespace {

using testing::expect_error;
using testing::TemporaryDirectory;

PartManifest made_manifest() {
  return {"owner/name",
          "1234567890123456789012345678901234567890",
          {Pooling::kClsAvg, false, "search: {text}", 128},
          {{"config.json", 12, std::string(64, 'a')},
           {"model.safetensors", 3'000'000'000, std::string(64, 'b')}}};
}

TEST(PartManifest, IsReadAsItIsWritten) {
  const PartManifest written = made_manifest();
  const PartManifest read = parse_part_manifest(to_json_text(written, Role::kRetrieval), "m");
  EXPECT_EQ(read.repository, written.repository);
  EXPECT_EQ(read.revision, written.revision);
  EXPECT_EQ(read.settings, written.settings);
  EXPECT_EQ(read.files, written.files);
}

TEST(PartManifest, HasNoTextSettingsWhereNoTextIsRead) {
  const PartManifest read = parse_part_manifest(to_json_text(made_manifest(), Role::kVisual), "m");
  EXPECT_EQ(read.settings, PartSettings{});
}

TEST(PartManifest, MayBeWrittenByHand) {
  const PartManifest read =
      parse_part_manifest(R"({"pooling": "cls", "prompt": "query: {text}", "note": "mine"})", "m");
  EXPECT_EQ(read.settings.pooling, Pooling::kCls);
  EXPECT_EQ(read.settings.prompt, "query: {text}");
  EXPECT_TRUE(read.settings.normalize);
  EXPECT_EQ(read.settings.max_tokens, 0);
  EXPECT_TRUE(read.files.empty());
}

TEST(PartManifest, IsTheDefaultsWhereThereIsNone) {
  const TemporaryDirectory directory;
  EXPECT_EQ(read_part_manifest(directory.path()).settings, PartSettings{});
  write_file_atomically(directory / "mmra.json", R"({"normalize": false})");
  EXPECT_FALSE(read_part_manifest(directory.path()).settings.normalize);
}

TEST(PartManifest, SaysWhatIsWrong) {
  const auto expect_fault = [](const std::string& text, const std::string& part) {
    expect_error(ErrorKind::kCorruptData, part, [&] { (void)parse_part_manifest(text, "m.json"); });
    expect_error(ErrorKind::kCorruptData, "m.json",
                 [&] { (void)parse_part_manifest(text, "m.json"); });
  };
  expect_fault("", "not valid JSON");
  expect_fault("{\"pooling\": \"cls\"", "not valid JSON");
  expect_fault("[1]", "an object was expected, not array");
  expect_fault(R"({"pooling": "max"})",
               R"("pooling" must be "cls", "mean" or "cls_avg", not "max")");
  expect_fault(R"({"pooling": 3})", "\"pooling\" must be a string, not 3");
  expect_fault(R"({"normalize": "yes"})", "true or false");
  expect_fault(R"({"prompt": "no place"})", "{text}");
  expect_fault(R"({"prompt": "{text} {text}"})", "once");
  expect_fault(R"({"max_tokens": -1})", "whole number");
  expect_fault(R"({"max_tokens": 1e9})", "whole number");
  expect_fault(R"({"files": []})", "\"files\" must be an object");
  expect_fault(R"({"files": {"a": {"bytes": 1, "sha256": "short"}}})", "64");
  expect_fault(R"({"files": {"a": {"sha256": ""}}})", "\"bytes\" is missing");
  expect_fault(R"({"files": {"../../.bashrc": {"bytes": 1, "sha256": ""}}})", "plain file name");
  expect_fault(std::string(100'000, '['), "nested");
}

TEST(Names, AreFoundAgain) {
  for (const Role role : kRoles) EXPECT_EQ(find_role(name_of(role)), role);
  for (const Pooling pooling : {Pooling::kCls, Pooling::kMean, Pooling::kClsAvg}) {
    EXPECT_EQ(find_pooling(name_of(pooling)), pooling);
  }
  EXPECT_EQ(find_role("ears"), std::nullopt);
  EXPECT_EQ(find_pooling("max"), std::nullopt);
}

}  // namespace
}  // namespace mmra::hub
