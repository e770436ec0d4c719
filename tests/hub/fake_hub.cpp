#include "hub/fake_hub.h"

#include <nlohmann/json.hpp>
#include <random>

#include "mmra/hub/digest.h"

namespace mmra::testing {
namespace {

std::string decoded(const std::string& text) {
  std::string result;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '%' && at + 2 < text.size()) {
      result += static_cast<char>(std::stoi(text.substr(at + 1, 2), nullptr, 16));
      at += 2;
    } else {
      result += text[at];
    }
  }
  return result;
}

FakeReply status_only(int status, const std::string& error_code = {}) {
  FakeReply reply;
  reply.status = status;
  reply.body = "an error page that must not get into a file";
  if (!error_code.empty()) reply.headers.emplace_back("X-Error-Code", error_code);
  return reply;
}

/// The reply to a request with or without Range and If-Range.
FakeReply ranged(const FakeRequest& request, const std::string& content, const std::string& etag,
                 bool ignores_range) {
  FakeReply reply;
  reply.body = content;
  reply.headers.emplace_back("ETag", etag);
  const std::string range = request.header("range");
  const std::string if_range = request.header("if-range");
  if (ignores_range || range.empty() || (!if_range.empty() && if_range != etag)) return reply;
  const std::size_t begin = std::stoul(range.substr(std::string("bytes=").size()));
  if (begin >= content.size()) return status_only(416);
  reply.status = 206;
  reply.body = content.substr(begin);
  reply.headers.emplace_back("Content-Range", "bytes " + std::to_string(begin) + "-" +
                                                  std::to_string(content.size() - 1) + "/" +
                                                  std::to_string(content.size()));
  return reply;
}

}  // namespace

FakeHub::FakeHub()
    : store_(std::make_unique<FakeServer>(
          [this](const FakeRequest& request) { return answer_store(request); })),
      hub_(std::make_unique<FakeServer>(
          [this](const FakeRequest& request) { return answer_hub(request); })) {}

void FakeHub::add_file(const std::string& repository, const std::string& name, std::string content,
                       bool is_large) {
  const std::scoped_lock lock(mutex_);
  Repository& entry = repositories_[repository];
  if (entry.main_revision.empty()) entry.main_revision = kFirstCommit;
  if (is_large) store_content_[hub::digest_of(content).sha256] = content;
  entry.revisions[entry.main_revision][name] = {std::move(content), is_large};
}

void FakeHub::add_conversion(const std::string& repository, int number, const std::string& name,
                             std::string content) {
  const std::scoped_lock lock(mutex_);
  Repository& entry = repositories_[repository];
  const std::string revision = std::string(39, 'c') + std::to_string(number % 10);
  entry.conversions[number] = revision;
  auto files = entry.revisions[entry.main_revision];
  store_content_[hub::digest_of(content).sha256] = content;
  files[name] = {std::move(content), true};
  entry.revisions[revision] = std::move(files);
}

void FakeHub::commit(const std::string& repository, const std::string& revision) {
  const std::scoped_lock lock(mutex_);
  Repository& entry = repositories_[repository];
  entry.revisions[revision] = entry.revisions[entry.main_revision];
  entry.main_revision = revision;
}

void FakeHub::add_fault(Fault fault) {
  const std::scoped_lock lock(mutex_);
  faults_.push_back(std::move(fault));
}

void FakeHub::set_status(const std::string& repository, int status, const std::string& error_code) {
  const std::scoped_lock lock(mutex_);
  repositories_[repository].status = status;
  repositories_[repository].error_code = error_code;
}

FakeReply FakeHub::answer_hub(const FakeRequest& request) {
  const std::scoped_lock lock(mutex_);
  const std::string path = request.path.substr(0, request.path.find('?'));
  for (const auto& [name, repository] : repositories_) {
    const std::string api = "/api/models/" + name + "/";
    const std::string files = "/" + name + "/resolve/";
    const bool is_api = path.starts_with(api);
    if (!is_api && !path.starts_with(files)) continue;
    if (repository.status != 0) return status_only(repository.status, repository.error_code);
    std::string rest = path.substr(is_api ? api.size() : files.size());
    if (is_api && rest == "discussions") return discussions(repository);
    if (is_api) return list(repository, decoded(rest.substr(std::string("revision/").size())));
    const std::size_t slash = rest.find('/');
    return resolve(repository, decoded(rest.substr(0, slash)), decoded(rest.substr(slash + 1)));
  }
  return status_only(404, "RepoNotFound");
}

FakeReply FakeHub::list(const Repository& repository, const std::string& asked) const {
  std::string revision = asked == "main" ? repository.main_revision : asked;
  if (asked.starts_with("refs/pr/")) {
    const auto found = repository.conversions.find(std::stoi(asked.substr(8)));
    if (found != repository.conversions.end()) revision = found->second;
  }
  const auto files = repository.revisions.find(revision);
  if (files == repository.revisions.end()) return status_only(404, "RevisionNotFound");
  nlohmann::json document = {{"sha", revision}, {"cardData", {{"license", "mit"}}}};
  document["siblings"] = nlohmann::json::array();
  for (const auto& [name, file] : files->second) {
    const hub::FileDigest digest = hub::digest_of(file.content);
    nlohmann::json entry = {
        {"rfilename", name}, {"size", digest.bytes}, {"blobId", digest.git_blob_sha1}};
    if (file.is_large) {
      entry["lfs"] = {{"sha256", digest.sha256}, {"size", digest.bytes}, {"pointerSize", 134}};
    }
    document["siblings"].push_back(entry);
  }
  FakeReply reply;
  reply.body = document.dump();
  return reply;
}

FakeReply FakeHub::discussions(const Repository& repository) const {
  auto list = nlohmann::json::array();
  // Somebody else's pull request, newer than the conversion account's: it must not be taken.
  list.push_back({{"num", 9999},
                  {"author", {{"name", "somebody"}}},
                  {"isPullRequest", true},
                  {"status", "open"}});
  for (const auto& [number, revision] : repository.conversions) {
    list.push_back({{"num", number},
                    {"author", {{"name", "SFconvertbot"}}},
                    {"isPullRequest", true},
                    {"status", "open"}});
  }
  FakeReply reply;
  reply.body = nlohmann::json({{"discussions", list}}).dump();
  return reply;
}

FakeReply FakeHub::resolve(const Repository& repository, const std::string& revision,
                           const std::string& name) const {
  const auto files = repository.revisions.find(revision);
  if (files == repository.revisions.end()) return status_only(404, "RevisionNotFound");
  const auto file = files->second.find(name);
  if (file == files->second.end()) return status_only(404, "EntryNotFound");
  FakeReply reply;
  if (!file->second.is_large) {
    reply.body = file->second.content;
    return reply;
  }
  const std::string sha256 = hub::digest_of(file->second.content).sha256;
  reply.status = 302;
  reply.body = "Found. Redirecting";
  reply.headers = {{"Location", store_->url() + "/store/" + sha256 + "?signature=x"},
                   {"X-Linked-Etag", "\"" + sha256 + "\""}};
  return reply;
}

FakeReply FakeHub::answer_store(const FakeRequest& request) {
  const std::scoped_lock lock(mutex_);
  const std::string sha256 = request.path.substr(7, 64);
  Fault fault;
  if (!faults_.empty()) {
    fault = faults_.front();
    faults_.erase(faults_.begin());
  }
  if (fault.status != 0) {
    FakeReply reply = status_only(fault.status);
    if (!fault.retry_after.empty()) reply.headers.emplace_back("Retry-After", fault.retry_after);
    return reply;
  }
  if (fault.has_new_etag) etag_suffix_ += "-new";
  std::string content = store_content_[sha256];
  if (fault.sends_wrong_bytes) content[content.size() / 2] ^= 1;
  FakeReply reply = ranged(request, content, "\"" + sha256.substr(0, 16) + etag_suffix_ + "\"",
                           fault.ignores_range);
  reply.cut_after = fault.cut_after;
  return reply;
}

std::string made_bytes(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random() & 0xFFU);
  return bytes;
}

void add_model(FakeHub& hub, const std::string& repository, const std::string& role,
               std::size_t weights_bytes) {
  hub.add_file(repository, "README.md", "# not fetched");
  hub.add_file(repository, "pytorch_model.bin", "a pickle, never fetched", /*is_large=*/true);
  hub.add_file(repository, "config.json", R"({"model_type": "made", "of": ")" + repository + "\"}");
  if (role != "visual") {
    hub.add_file(repository, "tokenizer.json", R"({"model": {"type": "WordPiece"}})");
    hub.add_file(repository, "vocab.txt", "[PAD]\n[UNK]\n");
  }
  if (role == "visual" || role == "captioner") {
    hub.add_file(repository, "preprocessor_config.json", R"({"size": 224})");
  }
  if (role == "captioner") hub.add_file(repository, "generation_config.json", "{}");
  const auto seed = static_cast<unsigned>(std::hash<std::string>{}(repository));
  hub.add_file(repository, "model.safetensors", made_bytes(weights_bytes, seed), /*is_large=*/true);
}

}  // namespace mmra::testing
