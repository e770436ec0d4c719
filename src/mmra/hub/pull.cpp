#include "mmra/hub/pull.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <numeric>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/hub/catalogue.h"
#include "mmra/hub/digest.h"
#include "mmra/hub/model_cache.h"

namespace mmra::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMegabyte = 1'000'000;
constexpr const char* kMainRevision = "main";

/// One part that is to be got.
struct Wanted {
  Role role = Role::kRetrieval;
  std::string repository;
  std::string revision = kMainRevision;
  bool revision_is_asked_for = false;
  std::optional<PartSettings> settings;  ///< of the catalogue
  bool is_of_set = false;
};

struct Plan {
  std::string set;
  std::vector<Wanted> parts;
};

/// A set of words for a message: "paper, paper-small".
std::string names_of_sets() {
  std::string names;
  for (const CatalogueSet& set : catalogue()) names += (names.empty() ? "" : ", ") + set.name;
  return names;
}

void check_set_name(const std::string& name) {
  if (is_plain_name(name) && name != "builtin") return;
  throw Error(ErrorKind::kInvalidInput,
              "\"" + name +
                  "\" cannot be a set's name: letters, digits and -._ are, not beginning with a "
                  "dot, and \"builtin\" is taken");
}

Plan plan_set(const CatalogueSet& set, const PullRequest& request) {
  if (request.role || request.pooling || request.prompt || request.max_tokens) {
    throw Error(ErrorKind::kInvalidInput,
                "--as, --pooling, --prompt and --max-tokens are for a single repository; " +
                    set.name + " is a set, which has them");
  }
  Plan plan{request.into.empty() ? set.name : request.into, {}};
  for (const CataloguePart& part : set.parts) {
    plan.parts.push_back({part.role, part.repository, kMainRevision, false, part.settings, true});
  }
  return plan;
}

Plan plan_repository(const PullRequest& request) {
  const std::size_t at = request.name.find('@');
  Wanted wanted;
  wanted.repository = request.name.substr(0, at);
  if (at != std::string::npos) {
    wanted.revision = request.name.substr(at + 1);
    wanted.revision_is_asked_for = true;
  }
  if (!is_repository_name(wanted.repository) || wanted.revision.empty()) {
    throw Error(ErrorKind::kInvalidInput, "\"" + request.name + "\" is neither a set (" +
                                              names_of_sets() +
                                              ") nor a repository, owner/name or "
                                              "owner/name@revision; mmra models list shows all");
  }
  const CataloguePart* known = find_catalogue_part(wanted.repository, request.role);
  if (!request.role && known == nullptr) {
    throw Error(
        ErrorKind::kInvalidInput,
        "say what " + wanted.repository + " is to be: --as captioner, visual, text or retrieval");
  }
  wanted.role = request.role ? *request.role : known->role;
  if (known != nullptr) wanted.settings = known->settings;
  const std::string own_name = wanted.repository.substr(wanted.repository.find('/') + 1);
  return {request.into.empty() ? own_name : request.into, {std::move(wanted)}};
}

/// Keeps a second pull out of the same folder while it lives.
class DirectoryLock {
 public:
  explicit DirectoryLock(const fs::path& directory)
      : descriptor_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (descriptor_ < 0) throw system_error("open the directory", directory.string(), errno);
    // File systems without locks (some network ones) go without: the digests find what collides.
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      ::close(descriptor_);
      throw Error(ErrorKind::kIo, "another pull into " + directory.string() +
                                      " is under way; wait for it, or stop it");
    }
  }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  ~DirectoryLock() { ::close(descriptor_); }

 private:
  int descriptor_;
};

/// Bytes into whole megabytes of a progress step.
class MegabyteStep {
 public:
  MegabyteStep(ProgressSink& progress, const std::string& name, std::int64_t total_bytes)
      : progress_(progress) {
    progress_.begin(name + ", MB", (total_bytes + kMegabyte - 1) / kMegabyte);
  }
  MegabyteStep(const MegabyteStep&) = delete;
  MegabyteStep& operator=(const MegabyteStep&) = delete;
  ~MegabyteStep() { progress_.end(); }

  void add(std::int64_t bytes) {
    bytes_ += bytes;
    const std::int64_t now = bytes_ / kMegabyte;
    if (now != shown_) progress_.advance(now - shown_);
    shown_ = now;
  }

 private:
  ProgressSink& progress_;
  std::int64_t bytes_ = 0;
  std::int64_t shown_ = 0;
};

std::int64_t total_bytes(const std::vector<HubFile>& files) {
  return std::accumulate(files.begin(), files.end(), std::int64_t{0},
                         [](std::int64_t sum, const HubFile& file) { return sum + file.bytes; });
}

/// Gets one part.
class PartPull {
 public:
  PartPull(const Wanted& wanted, const PullRequest& request, const fs::path& models,
           const fs::path& set_directory, HubClient& hub, ProgressSink& progress,
           const std::stop_token& stop)
      : wanted_(wanted),
        request_(request),
        models_(models),
        directory_(set_directory / name_of(wanted.role)),
        hub_(hub),
        progress_(progress),
        stop_(stop) {}

  PulledPart run() {
    const auto there = find_cached_part(directory_.parent_path(), wanted_.role);
    const bool is_kept = there && !there->is_begun && !request_.update;
    if (is_kept && !must_ask_for_revision()) return keep(*there);
    listing_ = find_listing();
    const bool is_newest = there && there->is_whole &&
                           there->manifest.repository == wanted_.repository &&
                           there->manifest.revision == listing_.revision;
    if (is_kept || is_newest) return keep(*there);
    std::vector<HubFile> files = select_files(listing_, wanted_.role);
    manifest_.repository = wanted_.repository;
    manifest_.revision = listing_.revision;
    choose_settings();
    make_directories(directory_);
    const DirectoryLock lock(directory_);
    // From here on the folder holds no longer what a manifest in it would say.
    write_file_atomically(directory_ / kPartMarkerName, "");
    get_files(std::move(files));
    write_file_atomically(directory_ / kPartManifestName, to_json_text(manifest_, wanted_.role));
    if (there) remove_leftovers(there->manifest);
    std::error_code ignored;
    fs::remove(directory_ / kPartMarkerName, ignored);
    return result(false);
  }

 private:
  /// A branch, a tag or a pull request: only the hub knows which commit that is.
  [[nodiscard]] bool must_ask_for_revision() const {
    constexpr std::size_t kMinDigits = 7;
    return wanted_.revision_is_asked_for && (wanted_.revision.size() < kMinDigits ||
                                             !is_hex(wanted_.revision, wanted_.revision.size()));
  }

  PulledPart keep(const CachedPart& there) {
    const std::string& revision = listing_.revision.empty() ? wanted_.revision : listing_.revision;
    const bool is_other_model = there.manifest.repository != wanted_.repository;
    const bool is_other_revision = wanted_.revision_is_asked_for && !is_other_model &&
                                   !request_.update &&
                                   !there.manifest.revision.starts_with(revision);
    manifest_ = there.manifest;
    if (is_other_model || is_other_revision) {
      const std::string holds =
          directory_.string() + " holds " +
          (there.manifest.repository.empty() ? "a model of your own" : there.manifest.repository) +
          (is_other_revision ? "@" + there.manifest.revision : "");
      if (!wanted_.is_of_set) {
        throw Error(ErrorKind::kInvalidInput,
                    holds + "; --update replaces it, --into SET puts the new one elsewhere");
      }
      progress_.note(holds + ", which is left as it is (--update replaces it by " +
                     wanted_.repository + ")");
      return result(true);
    }
    apply_request();
    if (!(manifest_.settings == there.manifest.settings)) {
      write_file_atomically(directory_ / kPartManifestName, to_json_text(manifest_, wanted_.role));
    }
    return result(true);
  }

  /// Files of the model that was here before and that the new one has not: weights in another
  /// number of files would otherwise lie beside each other.
  void remove_leftovers(const PartManifest& before) const {
    for (const FileRecord& old : before.files) {
      const bool is_new =
          std::any_of(manifest_.files.begin(), manifest_.files.end(),
                      [&](const FileRecord& file) { return file.name == old.name; });
      std::error_code ignored;
      if (!is_new) fs::remove(directory_ / old.name, ignored);
    }
  }

  PulledPart result(bool was_there) const {
    PulledPart part{wanted_.role, directory_, manifest_, 0, downloaded_bytes_, was_there};
    for (const FileRecord& file : manifest_.files) part.bytes += file.bytes;
    return part;
  }

  RepositoryListing find_listing() {
    RepositoryListing listing = hub_.list(wanted_.repository, wanted_.revision);
    if (has_safetensors(listing) || wanted_.revision_is_asked_for) return listing;
    const auto conversion = hub_.find_conversion(wanted_.repository);
    if (!conversion) return listing;
    RepositoryListing converted = hub_.list(wanted_.repository, *conversion);
    if (!has_safetensors(converted)) return listing;
    progress_.note(wanted_.repository +
                   " has its weights as pickles alone, which are never read; "
                   "taking the hub's own conversion, " +
                   *conversion);
    return converted;
  }

  std::string read_if_there(std::string_view name) {
    const HubFile* file = listing_.find(name);
    return file == nullptr ? std::string() : hub_.read(listing_, *file);
  }

  void choose_settings() {
    if (!reads_text_alone(wanted_.role)) return;
    if (wanted_.settings) {
      manifest_.settings = *wanted_.settings;
    } else if (!request_.pooling) {
      manifest_.settings = stated_settings();
    }
    apply_request();
  }

  /// What the repository itself says.
  PartSettings stated_settings() {
    const auto stated = read_sentence_settings(
        {read_if_there("modules.json"), read_if_there("1_Pooling/config.json"),
         read_if_there("sentence_bert_config.json")},
        wanted_.repository);
    if (stated) return *stated;
    progress_.note(wanted_.repository +
                   " does not say how it pools; the mean over its tokens is assumed (--pooling cls "
                   "or cls_avg says otherwise)");
    return {};
  }

  /// The command line's word counts over the catalogue's and the repository's.
  void apply_request() {
    if (request_.pooling) manifest_.settings.pooling = *request_.pooling;
    if (request_.prompt) manifest_.settings.prompt = *request_.prompt;
    if (request_.max_tokens) manifest_.settings.max_tokens = *request_.max_tokens;
  }

  void get_files(std::vector<HubFile> files) {
    check_space(total_bytes(files));
    MegabyteStep step(progress_, name_of(wanted_.role), total_bytes(files));
    for (const HubFile& file : files) get_file(file, step);
    const bool is_sharded = files.back().name == kWeightIndexName;
    if (!is_sharded) return;
    const std::vector<HubFile> shards = find_files(
        listing_, parse_weight_index(read_file(directory_ / kWeightIndexName),
                                     wanted_.repository + ": " + std::string(kWeightIndexName)));
    check_space(total_bytes(shards));
    MegabyteStep shard_step(progress_, name_of(wanted_.role) + " weights", total_bytes(shards));
    for (const HubFile& file : shards) get_file(file, shard_step);
  }

  void get_file(const HubFile& file, MegabyteStep& step) {
    const fs::path path = directory_ / file.name;
    if (auto record = find_here(file, path); record || (record = link(file, path))) {
      step.add(file.bytes);
      manifest_.files.push_back(*record);
      return;
    }
    std::error_code ignored;
    const auto begun = fs::file_size(path.string() + ".part", ignored);
    if (!ignored) step.add(static_cast<std::int64_t>(begun));
    manifest_.files.push_back(hub_.download(listing_, file, path, [&](std::int64_t bytes) {
      step.add(bytes);
      downloaded_bytes_ += std::max<std::int64_t>(bytes, 0);
    }));
  }

  /// A file that an earlier pull has brought whole.
  std::optional<FileRecord> find_here(const HubFile& file, const fs::path& path) const {
    std::error_code ignored;
    if (fs::file_size(path, ignored) != static_cast<std::uintmax_t>(file.bytes) || ignored) {
      return std::nullopt;
    }
    const FileDigest digest = digest_of_file(path, stop_);
    if (!digest_fault(file, digest.bytes, digest.sha256, digest.git_blob_sha1).empty()) {
      return std::nullopt;
    }
    return FileRecord{file.name, digest.bytes, digest.sha256};
  }

  /// A file that another set has already. Small files, whose SHA-256 the hub does not state, are
  /// cheaper to get again.
  std::optional<FileRecord> link(const HubFile& file, const fs::path& path) const {
    if (file.sha256.empty()) return std::nullopt;
    const auto stored = find_stored_file(models_, file.sha256, file.bytes);
    if (!stored) return std::nullopt;
    std::error_code code;
    fs::remove(path, code);
    fs::create_hard_link(*stored, path, code);
    if (code) return std::nullopt;
    auto record = find_here(file, path);
    if (!record) fs::remove(path, code);  // it has been changed since it was got
    return record;
  }

  void check_space(std::int64_t bytes) const {
    std::error_code code;
    const fs::space_info space = fs::space(directory_, code);
    std::int64_t there = 0;
    for (fs::directory_iterator at(directory_, code), end; at != end; at.increment(code)) {
      if (code) break;
      std::error_code ignored;
      const auto size = at->file_size(ignored);
      if (!ignored) there += static_cast<std::int64_t>(size);
    }
    if (code || bytes - there <= static_cast<std::int64_t>(space.available)) return;
    throw Error(ErrorKind::kIo,
                directory_.string() + " needs " + std::to_string((bytes - there) / kMegabyte + 1) +
                    " MB more, its disk has " +
                    std::to_string(static_cast<std::int64_t>(space.available) / kMegabyte) +
                    " MB free; free some space, or set MMRA_MODELS to a directory elsewhere");
  }

  const Wanted& wanted_;
  const PullRequest& request_;
  fs::path models_;
  fs::path directory_;
  HubClient& hub_;
  ProgressSink& progress_;
  const std::stop_token& stop_;
  RepositoryListing listing_;
  PartManifest manifest_;
  std::int64_t downloaded_bytes_ = 0;
};

}  // namespace

PullResult pull(const PullRequest& request, const fs::path& models, const HubOptions& options,
                ProgressSink& progress, const std::stop_token& stop) {
  const CatalogueSet* set = find_set(request.name);
  const Plan plan = set != nullptr ? plan_set(*set, request) : plan_repository(request);
  check_set_name(plan.set);
  if (request.prompt && request.prompt->find(kPromptPlace) == std::string::npos) {
    throw Error(ErrorKind::kInvalidInput,
                "--prompt must hold {text}, where the text goes, not \"" + *request.prompt + "\"");
  }
  HubClient hub(options, progress, stop);
  PullResult result{plan.set, models / plan.set, {}};
  std::optional<Error> first_error;
  for (const Wanted& wanted : plan.parts) {
    try {
      result.parts.push_back(
          PartPull(wanted, request, models, result.directory, hub, progress, stop).run());
    } catch (const Error& error) {
      const bool concerns_this_part_alone =
          error.kind() == ErrorKind::kUnsupported || error.kind() == ErrorKind::kNotFound ||
          error.kind() == ErrorKind::kInvalidInput || error.kind() == ErrorKind::kCorruptData;
      if (!concerns_this_part_alone) throw;
      if (first_error) progress.note(error.what());
      if (!first_error) first_error = error;
    }
  }
  if (first_error) throw *first_error;
  return result;
}

}  // namespace mmra::hub
