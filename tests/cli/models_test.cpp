// `mmra models` against a hub on 127.0.0.1.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "hub/fake_hub.h"
#include "mmra/core/files.h"
#include "run_program.h"
#include "test_files.h"

namespace mmra::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class Models : public ::testing::Test {
 protected:
  Models() {
    ::setenv("no_proxy", "127.0.0.1", 1);
    ::setenv("HF_ENDPOINT", hub_.url().c_str(), 1);
    ::setenv("MMRA_MODELS", models_.path().c_str(), 1);
    ::unsetenv("HF_TOKEN");
    add_model(hub_, "sentence-transformers/all-MiniLM-L6-v2", "text", kWeightsBytes);
  }
  ~Models() override {
    for (const char* name : {"HF_ENDPOINT", "MMRA_MODELS", "HF_TOKEN"}) ::unsetenv(name);
  }

  static ProgramResult pull(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"models", "pull"});
    arguments.insert(arguments.end(), {"--retry-wait", "0.01"});
    return run_mmra(arguments);
  }

  static constexpr std::size_t kWeightsBytes = 2'000'000;
  FakeHub hub_;
  TemporaryDirectory models_;
};

TEST_F(Models, ListShowsSetsSizesLicencesAndTheCache) {
  const ProgramResult before = run_mmra({"models", "list"});
  EXPECT_EQ(before.status, 0) << before.err;
  for (const char* part : {"paper-small", "multilingual", "WhereIsAI/UAE-Large-V1", "MIT",
                           "BSD-3-Clause", "1.3 GB", "109 languages"}) {
    EXPECT_THAT(before.out, HasSubstr(part));
  }
  EXPECT_THAT(before.out, HasSubstr(models_.path().string()));
  ASSERT_EQ(pull({"text-small"}).status, 0);
  const auto document = nlohmann::json::parse(run_mmra({"models", "list", "--json"}).out);
  EXPECT_EQ(document.at("directory"), models_.path().string());
  for (const auto& set : document.at("sets")) {
    for (const auto& part : set.at("parts")) {
      EXPECT_EQ(part.at("cached").is_null(), set.at("name") != "text-small");
      if (set.at("name") != "text-small") continue;
      EXPECT_EQ(part.at("cached").at("whole"), true);
      EXPECT_EQ(part.at("cached").at("revision"), kFirstCommit);
    }
  }
  EXPECT_TRUE(hub_.hub_requests().size() > 0);
}

TEST_F(Models, PullBringsASetAndASecondDoesNothing) {
  hub_.add_fault({.cut_after = 1'000'000});
  hub_.add_fault({.status = 503});
  const ProgramResult first = pull({"text-small"});
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("sentence-transformers/all-MiniLM-L6-v2"));
  EXPECT_THAT(first.out, HasSubstr("Everything is in " + (models_ / "text-small").string()));
  EXPECT_THAT(first.err, HasSubstr("trying again in 0.0 s"));
  EXPECT_TRUE(fs::exists(models_ / "text-small/retrieval/mmra.json"));
  // Both parts are the same model: its weights are one file.
  EXPECT_EQ(fs::hard_link_count(models_ / "text-small/text/model.safetensors"), 2U);
  const std::size_t asked = hub_.hub_requests().size();
  const ProgramResult second = pull({"text-small"});
  EXPECT_EQ(second.status, 0) << second.err;
  EXPECT_THAT(second.out, HasSubstr("Nothing to do"));
  EXPECT_EQ(second.err, "");
  EXPECT_EQ(hub_.hub_requests().size(), asked);
}

TEST_F(Models, PullSaysInJsonWhatItDid) {
  const ProgramResult result =
      pull({"sentence-transformers/all-MiniLM-L6-v2", "--as", "retrieval", "--into", "mine",
            "--prompt", "q: {text}", "--json", "--quiet"});
  EXPECT_EQ(result.status, 0) << result.err;
  const auto document = nlohmann::json::parse(result.out);
  EXPECT_EQ(document.at("set"), "mine");
  const auto& part = document.at("parts").at(0);
  EXPECT_EQ(part.at("role"), "retrieval");
  EXPECT_EQ(part.at("revision"), kFirstCommit);
  EXPECT_GT(part.at("downloaded_bytes"), kWeightsBytes);
  const auto manifest = nlohmann::json::parse(read_file(models_ / "mine/retrieval/mmra.json"));
  EXPECT_EQ(manifest.at("prompt"), "q: {text}");
  EXPECT_EQ(manifest.at("pooling"), "mean");
  EXPECT_EQ(manifest.at("max_tokens"), 256);
}

TEST_F(Models, FaultsAreOneLine) {
  const auto expect_failure = [&](const std::vector<std::string>& arguments,
                                  const std::string& part) {
    const ProgramResult result = pull(arguments);
    EXPECT_EQ(result.status, 1) << result.out;
    EXPECT_EQ(result.out, "");
    const std::string last = result.err.substr(result.err.rfind("error: "));
    EXPECT_THAT(last, HasSubstr(part));
    EXPECT_EQ(std::count(last.begin(), last.end(), '\n'), 1) << last;
  };
  expect_failure({"nobody/nothing", "--as", "text"}, "there is no repository nobody/nothing");
  expect_failure({"papers"}, "neither a set (paper, paper-small, text-small, multilingual)");
  hub_.set_status("me/gated", 401, "GatedRepo");
  expect_failure({"me/gated", "--as", "text"}, "set HF_TOKEN");
  hub_.add_fault({.sends_wrong_bytes = true});
  expect_failure({"text-small"}, "SHA-256");
  EXPECT_FALSE(fs::exists(models_ / "text-small/text/model.safetensors.part"));
  add_model(hub_, "me/busy", "visual");
  for (int i = 0; i < 2; ++i) hub_.add_fault({.status = 503});
  expect_failure({"me/busy", "--as", "visual", "--retries", "1"}, "the hub answers 503");
}

TEST_F(Models, WrongUsageIsStatusTwo) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"models"},
                                             {"models", "pull"},
                                             {"models", "pull", "a/b", "--as", "ears"},
                                             {"models", "pull", "a/b", "--pooling", "max"},
                                             {"models", "pull", "a/b", "--retries", "-1"}}) {
    const ProgramResult result = run_mmra(arguments);
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_EQ(result.out, "");
  }
}

TEST_F(Models, TheTokenGoesToTheHubAlone) {
  ::setenv("HF_TOKEN", "hf_secret", 1);
  ASSERT_EQ(pull({"text-small"}).status, 0);
  EXPECT_EQ(hub_.hub_requests().front().header("authorization"), "Bearer hf_secret");
  EXPECT_EQ(hub_.store_requests().front().header("authorization"), "");
}

TEST_F(Models, CtrlCKeepsWhatHasCome) {
  // The store cuts the connection; the program waits for its next attempt when the signal comes.
  hub_.add_fault({.cut_after = 500'000});
  const ProgramResult stopped =
      run_mmra_and_signal({"models", "pull", "text-small", "--retry-wait", "30"},
                          std::chrono::milliseconds(700), SIGINT);
  EXPECT_EQ(stopped.status, 130) << stopped.err;
  EXPECT_EQ(fs::file_size(models_ / "text-small/text/model.safetensors.part"), 500'000U);
  EXPECT_EQ(pull({"text-small"}).status, 0);
  EXPECT_EQ(hub_.store_requests().at(1).header("range"), "bytes=500000-");
}

}  // namespace
}  // namespace mmra::testing
