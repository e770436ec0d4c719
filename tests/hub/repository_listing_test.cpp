#include "mmra/hub/repository_listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "expect_error.h"

namespace mmra::hub {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;

const std::string kCommit(40, '1');
const std::string kSha1(40, 'a');
const std::string kSha256(64, 'b');

std::vector<std::string> names_of(const std::vector<HubFile>& files) {
  std::vector<std::string> names;
  for (const HubFile& file : files) names.push_back(file.name);
  return names;
}

RepositoryListing listing_with(const std::vector<std::string>& names) {
  RepositoryListing listing{"o/n", kCommit, "mit", {}};
  for (const std::string& name : names) listing.files.push_back({name, 1, "", kSha1});
  return listing;
}

TEST(ParseListing, ReadsCommitLicenceFilesAndDigests) {
  const RepositoryListing listing = parse_listing(
      R"({"sha": ")" + kCommit + R"(", "private": false, "cardData": {"license": "mit"},
          "siblings": [
            {"rfilename": "config.json", "size": 7, "blobId": ")" +
          kSha1 + R"("},
            {"rfilename": "model.safetensors", "size": 134, "blobId": ")" +
          kSha1 + R"(", "lfs": {"sha256": ")" + kSha256 +
          R"(", "size": 5000000000, "pointerSize": 134}}]})",
      "o/n", "here");
  EXPECT_EQ(listing.revision, kCommit);
  EXPECT_EQ(listing.licence, "mit");
  ASSERT_EQ(listing.files.size(), 2U);
  EXPECT_EQ(listing.find("config.json")->git_blob_sha1, kSha1);
  EXPECT_EQ(listing.find("config.json")->sha256, "");
  EXPECT_EQ(listing.find("model.safetensors")->bytes, 5'000'000'000);
  EXPECT_EQ(listing.find("model.safetensors")->sha256, kSha256);
  EXPECT_EQ(listing.find("nothing"), nullptr);
}

TEST(ParseListing, SaysWhatIsWrong) {
  const auto expect_fault = [](const std::string& text, const std::string& part) {
    expect_error(ErrorKind::kCorruptData, part, [&] { (void)parse_listing(text, "o/n", "here"); });
  };
  expect_fault("<html>", "here: not valid JSON");
  expect_fault("{}", "\"sha\" must be 40");
  expect_fault(R"({"sha": "main"})", "not \"main\"");
  expect_fault(R"({"sha": ")" + kCommit + "\"}", "\"siblings\"");
  const auto with_file = [](const std::string& file) {
    return R"({"sha": ")" + kCommit + R"(", "siblings": [)" + file + "]}";
  };
  expect_fault(with_file("3"), "an object was expected");
  expect_fault(with_file("{}"), "\"rfilename\" is missing");
  expect_fault(with_file(R"({"rfilename": "a"})"), "\"size\" of a is missing");
  expect_fault(with_file(R"({"rfilename": "a", "size": -4})"), "whole number");
  expect_fault(with_file(R"({"rfilename": "a", "size": 1, "blobId": "x"})"), "blobId");
  expect_fault(with_file(R"({"rfilename": "a", "size": 1, "lfs": {}})"), "sha256");
}

TEST(ParseConversion, TakesTheNewestOfTheHubsOwnAccount) {
  const auto discussion = [](int number, const std::string& author, const std::string& status,
                             bool is_pull_request = true) {
    return R"({"num": )" + std::to_string(number) + R"(, "author": {"name": ")" + author +
           R"("}, "status": ")" + status + R"(", "isPullRequest": )" +
           (is_pull_request ? "true}" : "false}");
  };
  const std::string text = R"({"discussions": [)" + discussion(7, "SFconvertbot", "open") + "," +
                           discussion(38, "SFconvertbot", "merged") + "," +
                           discussion(50, "SFconvertbot", "closed") + "," +
                           discussion(51, "SFconvertbot", "open", false) + "," +
                           discussion(99, "SFconvertbot2", "open") + "]}";
  EXPECT_EQ(parse_conversion(text, "here"), "refs/pr/38");
  EXPECT_EQ(parse_conversion(R"({"discussions": []})", "here"), std::nullopt);
  EXPECT_EQ(parse_conversion("{}", "here"), std::nullopt);
  expect_error(ErrorKind::kCorruptData, "a list",
               [] { (void)parse_conversion(R"({"discussions": 1})", "here"); });
  expect_error(ErrorKind::kCorruptData, "not valid JSON",
               [] { (void)parse_conversion("", "here"); });
}

TEST(ParseWeightIndex, GivesEachShardOnce) {
  EXPECT_THAT(parse_weight_index(R"({"metadata": {}, "weight_map": {
                "a": "model-00002-of-00002.safetensors", "b": "model-00001-of-00002.safetensors",
                "c": "model-00002-of-00002.safetensors"}})",
                                 "here"),
              ElementsAre("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"));
}

TEST(ParseWeightIndex, NamesNothingOutsideItsFolder) {
  const auto expect_fault = [](const std::string& text, const std::string& part) {
    expect_error(ErrorKind::kCorruptData, part, [&] { (void)parse_weight_index(text, "here"); });
  };
  expect_fault("{}", "weight_map");
  expect_fault(R"({"weight_map": {}})", "weight_map");
  expect_fault(R"({"weight_map": {"a": 1}})", "the name of a file");
  expect_fault(R"({"weight_map": {"a": "../../x.safetensors"}})", ".safetensors file");
  expect_fault(R"({"weight_map": {"a": "/etc/x.safetensors"}})", ".safetensors file");
  expect_fault(R"({"weight_map": {"a": ".safetensors"}})", ".safetensors file");
  expect_fault(R"({"weight_map": {"a": "pytorch_model.bin"}})", ".safetensors file");
}

TEST(SelectFiles, TakesWhatTheRoleNeedsAndNoPickles) {
  const RepositoryListing all = listing_with(
      {"README.md", "pytorch_model.bin", "tf_model.h5", "config.json", "tokenizer.json",
       "vocab.txt", "tokenizer_config.json", "preprocessor_config.json", "generation_config.json",
       "onnx/model.onnx", "model.safetensors", "model.safetensors.index.json"});
  EXPECT_THAT(names_of(select_files(all, Role::kRetrieval)),
              ElementsAre("config.json", "tokenizer.json", "vocab.txt", "tokenizer_config.json",
                          "model.safetensors"));
  EXPECT_THAT(names_of(select_files(all, Role::kVisual)),
              ElementsAre("config.json", "preprocessor_config.json", "model.safetensors"));
  EXPECT_THAT(
      names_of(select_files(all, Role::kCaptioner)),
      ElementsAre("config.json", "tokenizer.json", "vocab.txt", "tokenizer_config.json",
                  "preprocessor_config.json", "generation_config.json", "model.safetensors"));
}

TEST(SelectFiles, TakesTheIndexWhereWeightsAreInSeveralFiles) {
  EXPECT_THAT(
      names_of(select_files(
          listing_with({"config.json", "vocab.txt", "model.safetensors.index.json"}), Role::kText)),
      ElementsAre("config.json", "vocab.txt", "model.safetensors.index.json"));
}

TEST(SelectFiles, SaysWhatIsMissing) {
  const auto expect_fault = [](const std::vector<std::string>& names, Role role,
                               const std::string& part) {
    expect_error(ErrorKind::kUnsupported, part,
                 [&] { (void)select_files(listing_with(names), role); });
  };
  expect_fault({"config.json", "pytorch_model.bin"}, Role::kText,
               "only pytorch_model.bin, a pickle, which is never read");
  expect_fault({"config.json"}, Role::kText, "o/n has no model.safetensors");
  expect_fault({"model.safetensors"}, Role::kText, "no config.json");
  expect_fault({"config.json", "model.safetensors"}, Role::kText, "tokenizer.json");
  expect_fault({"config.json", "model.safetensors"}, Role::kVisual, "preprocessor_config.json");
}

TEST(FindFiles, NamesWhatIsNotThere) {
  const RepositoryListing listing = listing_with({"a.safetensors"});
  EXPECT_EQ(find_files(listing, {"a.safetensors"}).size(), 1U);
  expect_error(ErrorKind::kNotFound, "o/n has no b.safetensors", [&] {
    (void)find_files(listing, {"a.safetensors", "b.safetensors"});
  });
}

TEST(RepositoryNames, AreOwnerAndName) {
  for (const char* good : {"o/n", "Sales-force/blip_base.v1", "a/b.c"}) {
    EXPECT_TRUE(is_repository_name(good)) << good;
  }
  for (const char* bad : {"", "n", "/n", "o/", "o/n/m", "../x", "o/..", "o/.n", "o/n?x", "o n/m",
                          "o/n#", "o%2Fn/m"}) {
    EXPECT_FALSE(is_repository_name(bad)) << bad;
  }
}

constexpr const char* kModules = R"([{"type": "sentence_transformers.models.Transformer"},
  {"type": "sentence_transformers.models.Pooling"},
  {"type": "sentence_transformers.models.Normalize"}])";

TEST(SentenceSettings, AreWhatTheRepositorySays) {
  const auto mean = read_sentence_settings(
      {kModules, R"({"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true})",
       R"({"max_seq_length": 256, "do_lower_case": false})"},
      "o/n");
  ASSERT_TRUE(mean);
  EXPECT_EQ(*mean, (PartSettings{Pooling::kMean, true, "{text}", 256}));
  const auto cls =
      read_sentence_settings({R"([{"type": "sentence_transformers.models.Transformer"}])",
                              R"({"pooling_mode_cls_token": true})", ""},
                             "o/n");
  ASSERT_TRUE(cls);
  EXPECT_EQ(*cls, (PartSettings{Pooling::kCls, false, "{text}", 0}));
  EXPECT_EQ(read_sentence_settings({}, "o/n"), std::nullopt);
}

TEST(SentenceSettings, RefuseWhatWouldGiveOtherVectors) {
  expect_error(ErrorKind::kUnsupported, "models.Dense", [] {
    (void)read_sentence_settings({R"([{"type": "sentence_transformers.models.Dense"}])", "", ""},
                                 "o/n");
  });
  expect_error(ErrorKind::kUnsupported, "another pooling", [] {
    (void)read_sentence_settings({kModules, R"({"pooling_mode_max_tokens": true})", ""}, "o/n");
  });
  expect_error(ErrorKind::kCorruptData, "modules.json", [] {
    (void)read_sentence_settings({"{}", "", ""}, "o/n");
  });
  expect_error(ErrorKind::kCorruptData, "max_seq_length", [] {
    (void)read_sentence_settings({kModules, "", R"({"max_seq_length": "long"})"}, "o/n");
  });
}

}  // namespace
}  // namespace mmra::hub
