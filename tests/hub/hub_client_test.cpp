#include "mmra/hub/hub_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <csignal>

#include "expect_error.h"
#include "hub/fake_hub.h"
#include "mmra/core/files.h"
#include "mmra/hub/digest.h"
#include "test_files.h"

namespace mmra::hub {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using testing::expect_error;
using testing::FakeHub;
using testing::FakeReply;
using testing::FakeRequest;
using testing::FakeServer;
using ::testing::HasSubstr;
using testing::made_bytes;
using ::testing::StartsWith;
using testing::TemporaryDirectory;

constexpr const char* kRepository = "owner/name";
constexpr const char* kWeights = "model.safetensors";

/// Keeps the notes.
class Notes final : public ProgressSink {
 public:
  void begin(std::string_view /*step*/, std::optional<std::int64_t> /*total*/) override {}
  void advance(std::int64_t /*done*/) override {}
  void end() override {}
  void note(std::string_view line) override { lines.emplace_back(line); }

  std::vector<std::string> lines;
};

class HubClientTest : public ::testing::Test {
 protected:
  HubClientTest() : weights_(made_bytes(100'000, 7)) {
    ::setenv("no_proxy", "127.0.0.1", 1);
    hub_.add_file(kRepository, "config.json", R"({"a": 1})");
    hub_.add_file(kRepository, kWeights, weights_, /*is_large=*/true);
    options_.endpoint = hub_.url();
    options_.wait = [this](milliseconds time, const std::stop_token& /*stop*/) {
      waits_.push_back(time);
    };
  }

  HubClient client() { return HubClient(options_, notes_, stop_.get_token()); }

  [[nodiscard]] std::filesystem::path weights_path() const { return directory_ / kWeights; }
  [[nodiscard]] std::filesystem::path part_path() const {
    return directory_ / (std::string(kWeights) + ".part");
  }

  FileRecord download() {
    HubClient asked = client();
    const RepositoryListing listing = asked.list(kRepository, "main");
    return asked.download(listing, *listing.find(kWeights), weights_path(),
                          [this](std::int64_t bytes) { counted_ += bytes; });
  }

  void expect_whole() {
    EXPECT_EQ(read_file(weights_path()), weights_);
    EXPECT_FALSE(std::filesystem::exists(part_path()));
    EXPECT_FALSE(std::filesystem::exists(part_path().string() + ".etag"));
    EXPECT_EQ(counted_, static_cast<std::int64_t>(weights_.size()));
  }

  std::string weights_;
  FakeHub hub_;
  HubOptions options_;
  Notes notes_;
  std::stop_source stop_;
  std::vector<milliseconds> waits_;
  TemporaryDirectory directory_;
  std::int64_t counted_ = 0;
};

TEST_F(HubClientTest, ListsARepositoryAtItsCommit) {
  const RepositoryListing listing = client().list(kRepository, "main");
  EXPECT_EQ(listing.revision, testing::kFirstCommit);
  EXPECT_EQ(listing.licence, "mit");
  EXPECT_EQ(listing.find(kWeights)->sha256, digest_of(weights_).sha256);
}

TEST_F(HubClientTest, BringsAFileWholeThroughARedirect) {
  const FileRecord record = download();
  expect_whole();
  EXPECT_EQ(record.bytes, static_cast<std::int64_t>(weights_.size()));
  EXPECT_EQ(record.sha256, digest_of(weights_).sha256);
  EXPECT_THAT(waits_, ElementsAre());
}

TEST_F(HubClientTest, ReadsSmallFilesAndChecksThem) {
  HubClient asked = client();
  const RepositoryListing listing = asked.list(kRepository, "main");
  HubFile file = *listing.find("config.json");
  EXPECT_EQ(asked.read(listing, file), R"({"a": 1})");
  file.git_blob_sha1 = std::string(40, '0');
  expect_error(ErrorKind::kCorruptData, "Git SHA-1 0000", [&] { (void)asked.read(listing, file); });
}

TEST_F(HubClientTest, GoesOnWhereTheConnectionWasCut) {
  hub_.add_fault({.cut_after = 30'000});
  hub_.add_fault({.cut_after = 20'000});
  (void)download();
  expect_whole();
  const auto requests = hub_.store_requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[0].header("range"), "");
  EXPECT_EQ(requests[1].header("range"), "bytes=30000-");
  EXPECT_THAT(requests[1].header("if-range"), StartsWith("\""));
  EXPECT_EQ(requests[2].header("range"), "bytes=50000-");
  EXPECT_EQ(waits_.size(), 2U);
  ASSERT_EQ(notes_.lines.size(), 2U);
  EXPECT_THAT(notes_.lines[0], HasSubstr("model.safetensors of owner/name"));
}

TEST_F(HubClientTest, GoesOnWhereAnEarlierProcessHasStopped) {
  options_.retry.max_attempts = 1;
  hub_.add_fault({.cut_after = 60'000});
  expect_error(ErrorKind::kIo, "the same command goes on", [&] { (void)download(); });
  EXPECT_EQ(std::filesystem::file_size(part_path()), 60'000U);
  counted_ = 60'000;  // as the caller of a resumed download has counted them
  (void)download();
  expect_whole();
  EXPECT_EQ(hub_.store_requests().back().header("range"), "bytes=60000-");
}

TEST_F(HubClientTest, BeginsAnewWhereTheServerKnowsNoRanges) {
  hub_.add_fault({.cut_after = 30'000});
  hub_.add_fault({.ignores_range = true});
  (void)download();
  expect_whole();
}

TEST_F(HubClientTest, AServerThatNeverComesFurtherIsGivenUp) {
  options_.retry.max_attempts = 3;
  for (int i = 0; i < 10; ++i) hub_.add_fault({.cut_after = 30'000, .ignores_range = true});
  expect_error(ErrorKind::kIo, "model.safetensors of owner/name", [&] { (void)download(); });
  // The first attempt came further than ever, two more did not.
  EXPECT_EQ(hub_.store_requests().size(), 3U);
}

TEST_F(HubClientTest, BeginsAnewWhereTheFileHasChangedMeanwhile) {
  hub_.add_fault({.cut_after = 30'000});
  hub_.add_fault({.has_new_etag = true});
  (void)download();
  expect_whole();
  EXPECT_EQ(hub_.store_requests().size(), 2U);
}

TEST_F(HubClientTest, TakesNoPieceOfAnotherVersion) {
  // A server that knows ranges but not If-Range sends the rest of what it has now.
  const std::string content = made_bytes(5000, 3);
  std::string etag = "\"one\"";
  const FakeServer server([&](const FakeRequest& request) {
    const std::string range = request.header("range");
    FakeReply reply{200, {{"ETag", etag}}, content, {}};
    if (range.empty()) {
      reply.cut_after = etag == "\"one\"" ? std::optional<std::size_t>(2000) : std::nullopt;
      etag = "\"two\"";
    } else {
      reply.status = 206;
      reply.body = std::string(3000, 'x');
      reply.headers.emplace_back("Content-Range", "bytes 2000-4999/5000");
    }
    return reply;
  });
  options_.endpoint = server.url();
  const RepositoryListing listing{
      kRepository, testing::kFirstCommit, "", {{kWeights, 5000, digest_of(content).sha256, ""}}};
  (void)client().download(listing, listing.files[0], weights_path(), [](std::int64_t) {});
  EXPECT_EQ(read_file(weights_path()), content);
}

TEST_F(HubClientTest, APartLongerThanTheFileIsNoPartOfIt) {
  write_file_atomically(part_path(), std::string(200'000, 'x'));
  counted_ = 200'000;
  (void)download();
  expect_whole();
}

TEST_F(HubClientTest, WrongBytesAreNamedAndRemoved) {
  hub_.add_fault({.sends_wrong_bytes = true});
  expect_error(ErrorKind::kCorruptData, "SHA-256 " + digest_of(weights_).sha256 + " expected, ",
               [&] { (void)download(); });
  EXPECT_FALSE(std::filesystem::exists(weights_path()));
  EXPECT_FALSE(std::filesystem::exists(part_path()));
  counted_ = 0;
  (void)download();
  expect_whole();
}

TEST_F(HubClientTest, ABadResumedPartIsFoundByTheDigest) {
  write_file_atomically(part_path(), std::string(1000, 'x'));
  expect_error(ErrorKind::kCorruptData, "has wrong bytes", [&] { (void)download(); });
  EXPECT_FALSE(std::filesystem::exists(part_path()));
}

TEST_F(HubClientTest, AFileLongerThanListedIsRefused) {
  HubClient asked = client();
  RepositoryListing listing = asked.list(kRepository, "main");
  HubFile file = *listing.find(kWeights);
  file.bytes = 1000;
  expect_error(ErrorKind::kCorruptData, "1000 bytes expected, more found",
               [&] { (void)asked.download(listing, file, weights_path(), [](std::int64_t) {}); });
  EXPECT_FALSE(std::filesystem::exists(part_path()));
}

TEST_F(HubClientTest, WaitsLongerEachTimeAndAsTheServerAsks) {
  hub_.add_fault({.status = 503});
  hub_.add_fault({.status = 502});
  hub_.add_fault({.status = 429, .retry_after = "7"});
  hub_.add_fault({.status = 500});
  (void)download();
  expect_whole();
  EXPECT_THAT(waits_, ElementsAre(milliseconds(1000), milliseconds(2000), milliseconds(7000),
                                  milliseconds(8000)));
}

TEST_F(HubClientTest, GivesUpAfterSoManyAttempts) {
  options_.retry.max_attempts = 3;
  for (int i = 0; i < 5; ++i) hub_.add_fault({.status = 503});
  expect_error(ErrorKind::kIo, "the hub answers 503 for file model.safetensors of owner/name",
               [&] { (void)download(); });
  EXPECT_EQ(waits_.size(), 2U);
}

TEST_F(HubClientTest, DoesNotWaitForEver) {
  hub_.add_fault({.status = 429, .retry_after = "86400"});
  expect_error(ErrorKind::kIo, "it asks to wait 86400.0 s", [&] { (void)download(); });
  EXPECT_TRUE(waits_.empty());
}

TEST_F(HubClientTest, TheTokenGoesToTheHubAlone) {
  options_.token = "hf_secret";
  (void)download();
  for (const FakeRequest& request : hub_.hub_requests()) {
    EXPECT_EQ(request.header("authorization"), "Bearer hf_secret") << request.path;
  }
  ASSERT_EQ(hub_.store_requests().size(), 1U);
  EXPECT_EQ(hub_.store_requests()[0].header("authorization"), "");
}

TEST_F(HubClientTest, ATokenIsOneWord) {
  options_.token = "hf_secret\r\nX-Evil: yes";
  expect_error(ErrorKind::kInvalidInput, "HF_TOKEN", [&] { (void)client(); });
}

TEST_F(HubClientTest, SaysWhatToDoWhereALoginIsNeeded) {
  hub_.set_status(kRepository, 401, "GatedRepo");
  expect_error(ErrorKind::kInvalidInput, "set HF_TOKEN",
               [&] { (void)client().list(kRepository, "main"); });
  hub_.set_status(kRepository, 403, "GatedRepo");
  options_.token = "hf_x";
  expect_error(ErrorKind::kInvalidInput, "403 (GatedRepo) for repository owner/name",
               [&] { (void)client().list(kRepository, "main"); });
  EXPECT_TRUE(waits_.empty());
}

TEST_F(HubClientTest, SaysWhatDoesNotExist) {
  expect_error(ErrorKind::kNotFound, "there is no repository owner/other",
               [&] { (void)client().list("owner/other", "main"); });
  expect_error(ErrorKind::kNotFound, "there is no repository owner/name at revision v9",
               [&] { (void)client().list(kRepository, "v9"); });
  HubClient asked = client();
  const RepositoryListing listing = asked.list(kRepository, "main");
  expect_error(ErrorKind::kNotFound, "there is no file gone.json of owner/name", [&] {
    (void)asked.download(listing, {"gone.json", 3, "", ""}, directory_ / "gone.json",
                         [](std::int64_t) {});
  });
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path())) << "an error page was kept";
}

TEST_F(HubClientTest, NoNetworkIsSaidSoon) {
  {
    const FakeServer gone([](const FakeRequest&) { return FakeReply{}; });
    options_.endpoint = gone.url();
  }
  expect_error(ErrorKind::kIo, "check the network",
               [&] { (void)client().list(kRepository, "main"); });
  EXPECT_EQ(waits_.size(), 1U);
}

TEST_F(HubClientTest, RedirectsThatLeadNowhereEnd) {
  std::string location = "/again";
  const FakeServer server([&](const FakeRequest&) {
    return FakeReply{302, {{"Location", location}}, "", {}};
  });
  options_.endpoint = server.url();
  expect_error(ErrorKind::kIo, "redirected more than 10 times",
               [&] { (void)client().list(kRepository, "main"); });
  location = "file:///etc/passwd";
  expect_error(ErrorKind::kIo, "no http or https URL",
               [&] { (void)client().list(kRepository, "main"); });
  EXPECT_TRUE(waits_.empty());
}

TEST_F(HubClientTest, AnAnswerThatIsNoListingIsRefused) {
  const FakeServer server([](const FakeRequest&) {
    return FakeReply{200, {}, "<html>a portal's login page", {}};
  });
  options_.endpoint = server.url();
  expect_error(ErrorKind::kCorruptData, "not valid JSON",
               [&] { (void)client().list(kRepository, "main"); });
}

TEST_F(HubClientTest, TheAddressMustBeOne) {
  for (const char* endpoint : {"", "huggingface.co:x", "ftp://h", "https://user:pw@h"}) {
    options_.endpoint = endpoint;
    expect_error(ErrorKind::kInvalidInput, "HF_ENDPOINT", [&] { (void)client(); });
  }
}

TEST_F(HubClientTest, StopsInTheMiddleAndKeepsThePart) {
  hub_.add_fault({.cut_after = 40'000});
  options_.wait = [this](milliseconds /*time*/, const std::stop_token& /*stop*/) {
    stop_.request_stop();
  };
  EXPECT_THROW((void)download(), Interrupted);
  EXPECT_EQ(std::filesystem::file_size(part_path()), 40'000U);
}

TEST_F(HubClientTest, AFullDiskIsSaidAndWhatCameIsKept) {
  // A limit on the size of files stands in for the full disk: write() fails in the middle.
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{50'000, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  expect_error(ErrorKind::kIo, "model.safetensors.part", [&] { (void)download(); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(std::filesystem::file_size(part_path()), 50'000U);
  (void)download();
  EXPECT_EQ(read_file(weights_path()), weights_);
}

TEST_F(HubClientTest, FindsTheHubsOwnConversion) {
  EXPECT_EQ(client().find_conversion(kRepository), std::nullopt);
  hub_.add_conversion(kRepository, 3, kWeights, "tensors");
  EXPECT_EQ(client().find_conversion(kRepository), "refs/pr/3");
  EXPECT_EQ(client().list(kRepository, "refs/pr/3").find(kWeights)->bytes, 7);
}

TEST(HubOptions, ComeFromTheEnvironment) {
  ::unsetenv("HF_ENDPOINT");
  ::setenv("HF_TOKEN", "hf_a", 1);
  EXPECT_EQ(hub_options_from_environment().endpoint, "https://huggingface.co");
  EXPECT_EQ(hub_options_from_environment().token, "hf_a");
  ::setenv("HF_ENDPOINT", "https://mirror.example", 1);
  ::unsetenv("HF_TOKEN");
  EXPECT_EQ(hub_options_from_environment().endpoint, "https://mirror.example");
  EXPECT_EQ(hub_options_from_environment().token, "");
  ::unsetenv("HF_ENDPOINT");
}

}  // namespace
}  // namespace mmra::hub
