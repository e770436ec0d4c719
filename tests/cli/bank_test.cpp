#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "mmra/core/files.h"
#include "run_program.h"
#include "test_files.h"

namespace mmra::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class BankCommands : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string text = "id,title,popularity,posted_at,creator\n";
    const char* words[] = {"boat", "cake", "tiger", "piano"};
    for (int i = 0; i < 40; ++i) {
      text += "v" + std::to_string(i) + ",a " + words[i % 4] + " and number " + std::to_string(i) +
              "," + std::to_string(i) + ",2024-07-" + (i < 9 ? "0" : "") +
              std::to_string(i % 28 + 1 < 10 && i >= 9 ? 10 + i % 18 : i % 28 + 1) +
              "T00:00:00Z,anna\n";
    }
    write_file_atomically(directory_ / "m.csv", text);
    const ProgramResult result =
        run_mmra({"ingest", directory_ / "m.csv", "--bank", bank(), "--quiet"});
    ASSERT_EQ(result.status, 0) << result.err;
  }
  [[nodiscard]] std::string bank() const { return directory_ / "bank"; }

  TemporaryDirectory directory_;
};

TEST_F(BankCommands, InfoNamesWhatTheBankHolds) {
  const ProgramResult result = run_mmra({"bank", "info", "--bank", bank()});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("records      40"));
  EXPECT_THAT(result.out, HasSubstr("creator (category)"));
  EXPECT_THAT(result.out, HasSubstr("builtin"));
}

TEST_F(BankCommands, SearchFindsByTextAndNeverTheQueryItself) {
  const ProgramResult by_text =
      run_mmra({"search", "--bank", bank(), "--text", "tiger", "-k", "10", "--json"});
  ASSERT_EQ(by_text.status, 0) << by_text.err;
  for (const auto& hit : json::parse(by_text.out)) {
    EXPECT_THAT(hit["title"].get<std::string>(), HasSubstr("tiger"));
    EXPECT_TRUE(hit.contains("similarity") && hit.contains("popularity"));
  }
  const ProgramResult by_id = run_mmra({"search", "--bank", bank(), "--id", "v7", "--json"});
  for (const auto& hit : json::parse(by_id.out)) EXPECT_NE(hit["id"], "v7");
  const ProgramResult unknown = run_mmra({"search", "--bank", bank(), "--id", "nobody"});
  EXPECT_EQ(unknown.status, 1);
  EXPECT_THAT(unknown.err, HasSubstr("nobody"));
}

TEST_F(BankCommands, SearchSeesNothingPostedAtOrAfterAsOf) {
  const ProgramResult result = run_mmra({"search", "--bank", bank(), "--text", "a boat", "--as-of",
                                         "2024-07-05T00:00:00Z", "-k", "40", "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  std::vector<std::string> ids;
  for (const auto& hit : json::parse(result.out)) ids.push_back(hit["id"]);
  EXPECT_THAT(ids, ::testing::IsSubsetOf({"v0", "v1", "v2", "v3", "v28", "v29", "v30", "v31"}));
  EXPECT_THAT(ids, ::testing::Contains("v0"));
  EXPECT_EQ(run_mmra({"search", "--bank", bank(), "--text", "x", "--as-of", "soon"}).status, 1);
}

TEST_F(BankCommands, RemoveExportAndIngestAgain) {
  EXPECT_EQ(run_mmra({"bank", "remove", "--bank", bank(), "--id", "v1", "--id", "v2"}).status, 0);
  const ProgramResult gone = run_mmra({"bank", "remove", "--bank", bank(), "--id", "v1"});
  EXPECT_EQ(gone.status, 1);
  EXPECT_THAT(gone.err, StartsWith("error: "));
  const std::string out = directory_ / "out";
  ASSERT_EQ(run_mmra({"bank", "export", "--bank", bank(), "--out", out}).status, 0);
  const std::string again = directory_ / "again";
  const ProgramResult result =
      run_mmra({"ingest", out + "/videos.csv", "--bank", again, "--quiet", "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(json::parse(result.out)["added"], 38);
}

TEST_F(BankCommands, UpdateCompactBackupMergeRepairAndReindex) {
  write_file_atomically(directory_ / "c.csv",
                        "id,popularity,observed_at\nv1,500,2024-09-01T00:00:00Z\nnobody,1,5\n");
  ProgramResult result =
      run_mmra({"bank", "update", directory_ / "c.csv", "--bank", bank(), "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(json::parse(result.out)["added"], 1);
  EXPECT_EQ(json::parse(result.out)["unknown"], 1);
  EXPECT_THAT(result.err, HasSubstr("line 3: \"nobody\" left out"));
  const auto popularity_of_v1 = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"search", "--bank", bank(), "--text",
                                          "a cake", "-k",     "40",   "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    for (const auto& hit : json::parse(run_mmra(arguments).out)) {
      if (hit["id"] == "v1") return hit["popularity"].get<double>();
    }
    return -1.0;
  };
  EXPECT_EQ(popularity_of_v1({}), 500.0);
  EXPECT_EQ(popularity_of_v1({"--as-of", "2024-08-20T00:00:00Z"}), 1.0) << "as it was known then";
  EXPECT_EQ(popularity_of_v1({"--as-of", "2024-07-05T00:00:00Z", "--horizon", "7d"}), -1.0)
      << "not known yet";
  EXPECT_EQ(run_mmra({"bank", "update", directory_ / "c.csv", "--bank", bank(), "--strict"}).status,
            1);

  EXPECT_EQ(run_mmra({"bank", "remove", "--bank", bank(), "--id", "v2"}).status, 0);
  EXPECT_EQ(run_mmra({"bank", "compact", "--bank", bank()}).status, 0);
  const std::string copy = directory_ / "copy";
  result = run_mmra({"bank", "backup", "--bank", bank(), "--out", copy, "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(json::parse(result.out)["records"], 39);
  EXPECT_EQ(run_mmra({"bank", "remove", "--bank", bank(), "--id", "v3"}).status, 0);
  result = run_mmra({"bank", "merge", copy, "--bank", bank(), "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(json::parse(result.out)["added"], 1);
  EXPECT_EQ(json::parse(result.out)["kept"], 38);
  EXPECT_EQ(run_mmra({"bank", "verify", "--repair", "--bank", bank()}).status, 0);
  EXPECT_EQ(run_mmra({"bank", "reindex", "--bank", bank()}).status, 0);
  EXPECT_EQ(run_mmra({"bank", "verify", "--bank", bank()}).status, 0);
}

TEST_F(BankCommands, VerifyFindsADamagedDerivedFile) {
  EXPECT_EQ(run_mmra({"bank", "verify", "--bank", bank()}).status, 0);
  const auto vectors = directory_ / "bank/derived/vectors.bin";
  std::string bytes = read_file(vectors);
  bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 0x55);
  write_file_atomically(vectors, bytes);
  const ProgramResult result = run_mmra({"bank", "verify", "--bank", bank()});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.out, HasSubstr("vectors.bin"));
}

TEST(NoBank, IsOneClearLine) {
  const TemporaryDirectory directory;
  const std::string nowhere = directory / "nowhere";
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"bank", "info", "--bank", nowhere},
                                             {"bank", "verify", "--bank", nowhere},
                                             {"bank", "remove", "--bank", nowhere, "--id", "1"},
                                             {"search", "--bank", nowhere, "--text", "x"},
                                             {"bank", "info", "--bank", directory.path()}}) {
    const ProgramResult result = run_mmra(arguments);
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.err, StartsWith("error: "));
    EXPECT_THAT(result.err, HasSubstr("mmra ingest"));
    EXPECT_FALSE(std::filesystem::exists(nowhere));
  }
}

TEST(FitEncoder, MakesAnEmptyBankThatIngestFills) {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "m.csv", "id,title,popularity\n1,a boat,2\n2,a cake,3\n");
  const std::string bank = directory / "bank";
  const ProgramResult fitted = run_mmra(
      {"bank", "fit-encoder", "--bank", bank, "--manifest", directory / "m.csv", "--json"});
  ASSERT_EQ(fitted.status, 0) << fitted.err;
  const std::string fingerprint = json::parse(fitted.out)["fingerprint"];
  ASSERT_EQ(run_mmra({"ingest", directory / "m.csv", "--bank", bank, "--quiet"}).status, 0);
  const ProgramResult info = run_mmra({"bank", "info", "--bank", bank, "--json"});
  EXPECT_EQ(json::parse(info.out)["encoders"]["fingerprint"], fingerprint);
  EXPECT_EQ(json::parse(info.out)["records"], 2);
  EXPECT_EQ(
      run_mmra({"bank", "fit-encoder", "--bank", bank, "--manifest", directory / "m.csv"}).status,
      1);
}

}  // namespace
}  // namespace mmra::testing
