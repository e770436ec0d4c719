#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
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

TEST_F(BankCommands, ABackupToAServerIsRefused) {
  const ProgramResult result =
      run_mmra({"bank", "backup", "--bank", bank(), "--out", "milvus://127.0.0.1:1/copy"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("`mmra bank push` copies a bank to a server"));
  EXPECT_FALSE(std::filesystem::exists("milvus:")) << "no folder of that name";
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

/// Enough rows for an index to take a moment.
class IndexCommands : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(run_mmra({"ingest", write("m.csv", 0, 3000), "--bank", bank(), "--quiet"}).status, 0);
  }
  [[nodiscard]] std::string write(const std::string& name, int first, int count) const {
    const char* words[] = {"boat", "cake", "tiger", "piano", "river", "snow", "drum", "lamp"};
    std::string text = "id,title,popularity,posted_at\n";
    for (int i = first; i < first + count; ++i) {
      text += "v" + std::to_string(i) + ",the " + words[i % 8] + " and a " + words[i / 8 % 8] +
              " by the " + words[i / 64 % 8] + " of " + words[i / 512 % 8] + " " +
              std::to_string(i % 7) + "," + std::to_string(i) + "," +
              std::to_string(1'700'000'000 + 60 * i) + "\n";
    }
    write_file_atomically(directory_ / name, text);
    return directory_ / name;
  }
  [[nodiscard]] std::string bank() const { return directory_ / "bank"; }
  [[nodiscard]] json info() const {
    const ProgramResult result = run_mmra({"bank", "info", "--bank", bank(), "--json"});
    EXPECT_EQ(result.status, 0) << result.err;
    return json::parse(result.out);
  }
  ProgramResult reindex(const std::string& spec) const {
    return run_mmra({"bank", "reindex", "--index", spec, "--bank", bank(), "--json", "--quiet"});
  }
  [[nodiscard]] std::vector<std::string> search(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {
        "search", "--bank", bank(), "--text", "a boat by the river", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = run_mmra(arguments);
    EXPECT_EQ(result.status, 0) << result.err;
    std::vector<std::string> similarities;
    for (const auto& hit : json::parse(result.out)) {
      similarities.push_back(hit["similarity"].dump());
    }
    return similarities;
  }

  TemporaryDirectory directory_;
};

TEST_F(IndexCommands, AnIndexIsMadeUsedKeptUpToDateAndRemoved) {
  EXPECT_EQ(info()["index"], "exact");
  EXPECT_GT(info()["search"]["exact_seconds"], 0.0);
  ProgramResult result = reindex("HNSW16");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(json::parse(result.out)["segments"], 1);
  EXPECT_GT(json::parse(result.out)["sample_recall"], 0.9);
  EXPECT_EQ(info()["index"], "HNSW16");
  EXPECT_EQ(info()["search"]["indexed"], 3000);
  EXPECT_EQ(info()["search"]["tail"], 0);
  // Titles are often equal: the same similarities then belong to other ids.
  EXPECT_EQ(search({}), search({"--exact"}));
  const std::string as_of = "2023-11-15T00:00:00Z";
  EXPECT_EQ(search({"--as-of", as_of}), search({"--as-of", as_of, "--exact"}));
  EXPECT_EQ(search({}).size(), 10U);

  EXPECT_EQ(run_mmra({"bank", "remove", "--id", "v1", "--bank", bank()}).status, 0);
  EXPECT_EQ(info()["search"]["dead"], 1);
  ASSERT_EQ(run_mmra({"ingest", write("n.csv", 3000, 500), "--bank", bank(), "--quiet"}).status, 0);
  EXPECT_EQ(info()["search"]["tail"], 500) << "too few for a segment";
  ASSERT_EQ(run_mmra({"ingest", write("o.csv", 3500, 6500), "--bank", bank(), "--quiet"}).status,
            0);
  EXPECT_EQ(info()["search"]["tail"], 0) << "enough for one";
  EXPECT_EQ(info()["search"]["dead"], 0) << "so many more that the old one is joined";
  EXPECT_EQ(search({}), search({"--exact"}));

  EXPECT_EQ(run_mmra({"bank", "compact", "--bank", bank()}).status, 0);
  EXPECT_EQ(info()["search"]["indexed"], 9999) << "compaction makes it anew";
  const ProgramResult people = run_mmra({"bank", "info", "--bank", bank()});
  EXPECT_THAT(people.out, HasSubstr("index        HNSW16"));
  EXPECT_THAT(people.out, HasSubstr("1 segments of 9,999 records"));
  ASSERT_EQ(reindex("Flat").status, 0);
  EXPECT_EQ(info()["index"], "exact");
}

TEST_F(IndexCommands, SaysWhatCannotBeMadeAndKeepsWhatThereIs) {
  ASSERT_EQ(reindex("IVF16,Flat").status, 0);
  for (const char* spec : {"HNWS32", "IVF100000,Flat", "PQ7"}) {
    const ProgramResult result = reindex(spec);
    EXPECT_EQ(result.status, 1) << spec;
    EXPECT_THAT(result.err, StartsWith("error: ")) << spec;
    EXPECT_THAT(result.err, HasSubstr(spec));
  }
  EXPECT_EQ(info()["index"], "IVF16,Flat");
  EXPECT_EQ(info()["search"]["indexed"], 3000);
}

TEST_F(IndexCommands, ADamagedSegmentIsFoundAndRepaired) {
  ASSERT_EQ(reindex("HNSW16").status, 0);
  std::string name;
  for (const auto& entry : std::filesystem::directory_iterator(bank() + "/derived/index")) {
    if (entry.path().extension() == ".bin") name = entry.path();
  }
  std::string bytes = read_file(name);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x55);
  write_file_atomically(name, bytes);
  const ProgramResult searched = run_mmra({"search", "--bank", bank(), "--text", "a boat"});
  EXPECT_EQ(searched.status, 0);
  EXPECT_THAT(searched.err, HasSubstr("warning: "));
  EXPECT_EQ(search({}), search({"--exact"}));
  ProgramResult result = run_mmra({"bank", "verify", "--bank", bank()});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.out, HasSubstr("segment-"));
  result = run_mmra({"bank", "verify", "--repair", "--bank", bank(), "--quiet"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("its records were indexed anew"));
  EXPECT_EQ(run_mmra({"bank", "verify", "--bank", bank()}).status, 0);
  EXPECT_EQ(info()["search"]["tail"], 0);
}

TEST_F(IndexCommands, ASettingThatCannotBeReadIsSaidAndRemovedByRepair) {
  ASSERT_EQ(reindex("HNSW16").status, 0);
  for (const char* text : {"{\"version\":", "{\"version\":2,\"index\":\"HNSW32\"}"}) {
    write_file_atomically(bank() + "/index.json", text);
    const ProgramResult searched = run_mmra({"search", "--bank", bank(), "--text", "a boat"});
    EXPECT_EQ(searched.status, 1);
    EXPECT_THAT(searched.err, StartsWith("error: "));
    EXPECT_THAT(searched.err, HasSubstr("index.json"));
    EXPECT_EQ(search({"--exact"}).size(), 10U);
    ProgramResult result = run_mmra({"bank", "verify", "--bank", bank()});
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.out, HasSubstr("index.json"));
    result = run_mmra({"bank", "verify", "--repair", "--bank", bank(), "--quiet"});
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("the setting was removed"));
    EXPECT_EQ(run_mmra({"bank", "verify", "--bank", bank()}).status, 0);
    EXPECT_EQ(info()["index"], "exact");
    EXPECT_EQ(search({}), search({"--exact"}));
  }
}

TEST_F(IndexCommands, CompactionLeavesNoTraceOfWhatWasRemoved) {
  write_file_atomically(directory_ / "p.csv",
                        "id,title,popularity,posted_at\nsecret-id,an unspeakable zeppelin,5,"
                        "1700000100\n");
  ASSERT_EQ(run_mmra({"ingest", directory_ / "p.csv", "--bank", bank(), "--quiet"}).status, 0);
  ASSERT_EQ(reindex("HNSW16").status, 0);
  const auto num_files_with = [&](const std::string& text, const std::string& folder) {
    int count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(bank() + folder)) {
      if (!entry.is_regular_file()) continue;
      count += read_file(entry.path()).find(text) != std::string::npos ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(num_files_with("secret-id", "/derived/index"), 1);
  ASSERT_EQ(run_mmra({"bank", "remove", "--id", "secret-id", "--bank", bank()}).status, 0);
  EXPECT_EQ(num_files_with("secret-id", "/derived/index"), 1) << "dead, and still there";
  ASSERT_EQ(run_mmra({"bank", "compact", "--bank", bank()}).status, 0);
  EXPECT_EQ(num_files_with("secret-id", ""), 0);
  EXPECT_EQ(num_files_with("unspeakable zeppelin", ""), 0);
  EXPECT_EQ(info()["search"]["indexed"], 3000);
}

TEST_F(IndexCommands, ABackupKeepsTheSetting) {
  ASSERT_EQ(reindex("HNSW16").status, 0);
  const std::string copy = directory_ / "copy";
  ASSERT_EQ(run_mmra({"bank", "backup", "--bank", bank(), "--out", copy}).status, 0);
  const auto cost_of_copy = [&] {
    return json::parse(run_mmra({"bank", "info", "--bank", copy, "--json"}).out);
  };
  EXPECT_EQ(cost_of_copy()["index"], "HNSW16");
  EXPECT_EQ(cost_of_copy()["search"]["tail"], 3000) << "searched exactly until it is made";
  EXPECT_EQ(run_mmra({"bank", "reindex", "--bank", copy, "--quiet"}).status, 0);
  EXPECT_EQ(cost_of_copy()["search"]["indexed"], 3000);
  write_file_atomically(bank() + "/index.json", "{");
  EXPECT_EQ(run_mmra({"bank", "backup", "--bank", bank(), "--out", directory_ / "other"}).status,
            0);
}

TEST_F(IndexCommands, InfoReadsNoVectorsWhereThereIsNoIndex) {
  std::filesystem::remove(bank() + "/derived/vectors.bin");
  EXPECT_GT(info()["search"]["exact_seconds"], 0.0);
  EXPECT_EQ(info()["search"]["tail"], 3000);
  EXPECT_FALSE(std::filesystem::exists(bank() + "/derived/vectors.bin"));
}

// Whenever it is killed, there is the old index or the new one, whole.
TEST_F(IndexCommands, SurviveKillAtRandomMoments) {
  ASSERT_EQ(reindex("HNSW8").status, 0);
  std::mt19937 random(20261129);
  for (int i = 0; i < 20; ++i) {
    const std::string spec = i % 2 == 0 ? "HNSW16" : "IVF16,Flat";
    (void)run_mmra_and_signal({"bank", "reindex", "--index", spec, "--bank", bank(), "--quiet"},
                              std::chrono::milliseconds(random() % 500), SIGKILL);
    const json now = info();
    ASSERT_TRUE(now["index"] == "HNSW8" || now["index"] == "HNSW16" ||
                now["index"] == "IVF16,Flat");
    ASSERT_EQ(now["search"]["indexed"], 3000) << i;
    ASSERT_EQ(run_mmra({"bank", "verify", "--bank", bank()}).status, 0) << i;
  }
  ASSERT_EQ(reindex("HNSW8").status, 0);
  int num_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(bank() + "/derived/index")) {
    num_files += entry.path().extension() == ".bin" ? 1 : 0;
  }
  EXPECT_EQ(num_files, 1) << "what killed ones left is gone";
}

TEST_F(IndexCommands, StopOnCtrlC) {
  const ProgramResult result =
      run_mmra_and_signal({"bank", "reindex", "--index", "HNSW64", "--bank", bank(), "--quiet"},
                          std::chrono::milliseconds(150), SIGINT);
  EXPECT_TRUE(result.status == 130 || result.status == 0) << result.status << result.err;
  EXPECT_EQ(run_mmra({"bank", "verify", "--bank", bank()}).status, 0);
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
