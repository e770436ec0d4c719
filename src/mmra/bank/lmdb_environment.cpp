#include "mmra/bank/lmdb_environment.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <span>

#include "mmra/core/files.h"
#include "mmra/core/resource_error.h"

namespace mmra::bank {
namespace {

namespace fs = std::filesystem;

// Address space, not disk: the file grows as it is filled. Smaller ones are for limits on address
// space (ulimit -v, sanitizers).
constexpr std::size_t kMapBytes[] = {std::size_t{1} << 40, std::size_t{1} << 36,
                                     std::size_t{1} << 32, std::size_t{1} << 29};
constexpr unsigned kMaxReaders = 1024;
// Room for more readers than that, whatever else LMDB keeps there.
constexpr off_t kLockBytes = (off_t{1} << 16) + 4096;
constexpr std::size_t kMetaBytes = std::size_t{1} << 17;  // more than two pages of any size
// A fault that is gone at the next look was a commit of somebody else's in between.
constexpr int kPageCheckAttempts = 3;
constexpr const char* kDatabaseNames[kNumDatabases] = {"meta", "records", "features", "thumbnails",
                                                       "histories"};

Error lmdb_error(int code, const std::string& action, const fs::path& directory) {
  const std::string where = directory.string();
  if (code == ENOENT) return {ErrorKind::kNotFound, "there is no memory bank in " + where};
  if (code > 0) return system_error(action, where, code);
  const std::string reason = mdb_strerror(code);
  switch (code) {
    case MDB_MAP_FULL:
      return {ErrorKind::kIo, "cannot " + action + " " + where +
                                  ": the bank has reached the size of its memory map; raise the "
                                  "limit on address space (ulimit -v)"};
    case MDB_TXN_FULL:
      return {ErrorKind::kInvalidInput,
              "cannot " + action + " " + where + ": too much at once; write in smaller batches"};
    case MDB_READERS_FULL:
      return {ErrorKind::kIo, "cannot " + action + " " + where + ": more than " +
                                  std::to_string(kMaxReaders) + " readers at once; stop some"};
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
    case MDB_NOTFOUND:
      return {ErrorKind::kCorruptData, "the memory bank " + where + " is damaged (" + reason +
                                           "); restore it from a backup or make it anew"};
    default:
      return {ErrorKind::kIo, "cannot " + action + " " + where + ": " + reason};
  }
}

Error page_error(const std::string& fault, const fs::path& directory) {
  return {ErrorKind::kCorruptData, (directory / "data.mdb").string() + " is damaged (" + fault +
                                       "); restore it from a backup or make it anew"};
}

[[noreturn]] void throw_lmdb_error(int code, const std::string& action, const fs::path& directory) {
  if (code == EIO) {  // LMDB's word for a write of fewer bytes than it asked for
    throw ResourceError(ResourceError::Resource::kDisk,
                        "cannot " + action + " " + directory.string() +
                            ": a write was cut short (is the disk full, or over quota?); "
                            "nothing was changed");
  }
  if (code > 0 && code != ENOENT) throw_system_error(action, directory.string(), code);
  throw lmdb_error(code, action, directory);
}

/// LMDB makes its lock file without blocks, maps it and writes it there, which on a full disk is a
/// SIGBUS: a new one gets its blocks before. It has its name only then, since others may open it at
/// once. A disk that may only be read is for LMDB to say.
void make_lock_file(const fs::path& directory, const fs::path& name_of_directory) {
  const fs::path lock = directory / "lock.mdb";
  struct stat status {};
  if (::stat(lock.c_str(), &status) == 0 || errno != ENOENT) return;
  std::string name = (directory / "lock.mdb.XXXXXX").string();
  const int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor < 0) {
    if (errno == ENOSPC || errno == EDQUOT)
      throw_system_error("write", (name_of_directory / "lock.mdb").string(), errno);
    return;
  }
  int code = ::posix_fallocate(descriptor, 0, kLockBytes);
  if (code == 0 && ::fchmod(descriptor, 0644) != 0) code = errno;
  if (code == 0 && ::link(name.c_str(), lock.c_str()) != 0 && errno == ENOSPC) code = errno;
  ::close(descriptor);
  ::unlink(name.c_str());
  if (code == ENOSPC || code == EDQUOT || code == EFBIG) {
    throw_system_error("write", (name_of_directory / "lock.mdb").string(), code);
  }
}

MDB_val to_val(std::string_view text) { return {text.size(), const_cast<char*>(text.data())}; }

ByteView to_bytes(const MDB_val& value) {
  return {static_cast<const std::byte*>(value.mv_data), value.mv_size};
}

std::string_view to_key(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

}  // namespace

DirectoryHandle::DirectoryHandle(const fs::path& directory)
    : descriptor_(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ < 0) throw system_error("open", directory.string(), errno);
  path_ = "/proc/self/fd/" + std::to_string(descriptor_);
  std::error_code code;
  if (!fs::is_directory(path_, code)) path_ = directory;  // without /proc
}

DirectoryHandle::~DirectoryHandle() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Environment::Environment(const fs::path& directory, bool create)
    : Environment(directory, DirectoryHandle(directory), create) {}

Environment::Environment(const fs::path& directory, DirectoryHandle handle, bool create)
    : directory_(directory), handle_(std::move(handle)) {
  for (auto& database : databases_) database = -1;
  try {
    open(create);
  } catch (...) {
    if (env_ != nullptr) mdb_env_close(env_);
    throw;
  }
}

Environment::~Environment() { mdb_env_close(env_); }

void Environment::open(bool create) {
  if (!create) check_metas();
  if (create || fs::exists(handle_.path() / "data.mdb")) make_lock_file(handle_.path(), directory_);
  int code = try_open_any_size(0);
  writable_ = code == 0;
  if (!create && (code == EACCES || code == EROFS || code == EPERM)) {
    code = try_open_any_size(MDB_RDONLY);
    // Without a lock file a writer elsewhere does not see us; checksums would show what it did.
    if (code != 0) code = try_open_any_size(MDB_RDONLY | MDB_NOLOCK);
  }
  if (code != 0) throw_lmdb_error(code, "open the memory bank in", directory_);
  cover_map_with_file();
  check_pages(PageCheck::kForReading);
  int num_dead = 0;
  mdb_reader_check(env_, &num_dead);  // slots of readers that were killed; fails without locks
  open_databases(create);
}

int Environment::try_open_any_size(unsigned flags) {
  int code = ENOMEM;
  for (const std::size_t map_bytes : kMapBytes) {
    code = try_open(flags, map_bytes);
    if (code != ENOMEM) break;
  }
  return code;
}

int Environment::try_open(unsigned flags, std::size_t map_bytes) {
  int code = mdb_env_create(&env_);
  if (code != 0) return code;
  code = mdb_env_set_maxdbs(env_, kNumDatabases);
  if (code == 0) code = mdb_env_set_maxreaders(env_, kMaxReaders);
  if (code == 0) code = mdb_env_set_mapsize(env_, map_bytes);
  // Readers belong to transactions, not threads. Never MDB_WRITEMAP: SIGBUS on a full disk.
  if (code == 0) code = mdb_env_open(env_, handle_.path().c_str(), flags | MDB_NOTLS, 0644);
  if (code != 0) {
    mdb_env_close(env_);
    env_ = nullptr;
  }
  return code;
}

/// LMDB takes the page size from them while it opens the file.
void Environment::check_metas() const {
  std::ifstream file(handle_.path() / "data.mdb", std::ios::binary);
  if (!file) return;  // LMDB will say why
  std::string beginning(kMetaBytes, '\0');
  file.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
  beginning.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, file.gcount())));
  const auto fault = find_meta_fault(std::as_bytes(std::span(beginning)));
  if (fault) throw page_error(*fault, directory_);
}

/// Leads to the open file also where it has lost its name.
fs::path Environment::data_file() const {
  int descriptor = -1;
  if (handle_.path() == directory_ || mdb_env_get_fd(env_, &descriptor) != 0) {
    return directory_ / "data.mdb";
  }
  return "/proc/self/fd/" + std::to_string(descriptor);
}

void Environment::check_pages(PageCheck check) const {
  std::optional<std::string> fault;
  for (int attempt = 0; attempt < kPageCheckAttempts; ++attempt) {
    const Transaction reading(*this, Transaction::Kind::kRead);  // its pages stay as they are
    const MappedFile file(data_file());
    fault = find_page_fault(file.bytes(), reading.id(), check);
    if (!fault) return;
  }
  throw page_error(*fault, directory_);
}

/// A file that was cut off would be a SIGBUS when its missing end is touched. Zeros there instead
/// are noticed, by LMDB as pages of no kind, by us as wrong checksums.
void Environment::cover_map_with_file() const {
  MDB_envinfo info;
  MDB_stat stat;
  int descriptor = -1;
  mdb_env_info(env_, &info);
  mdb_env_stat(env_, &stat);
  mdb_env_get_fd(env_, &descriptor);
  const auto needed = static_cast<off_t>((info.me_last_pgno + 1) * stat.ms_psize);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) throw system_error("read", directory_.string(), errno);
  if (status.st_size >= needed) return;
  // fallocate never shrinks, whatever a writer does at the same time.
  if (writable_ && ::fallocate(descriptor, 0, needed - 1, 1) == 0) return;
  throw Error(ErrorKind::kCorruptData, (directory_ / "data.mdb").string() + " is cut off: it has " +
                                           std::to_string(status.st_size) +
                                           " bytes, expected at least " + std::to_string(needed) +
                                           "; restore it from a backup");
}

void Environment::open_databases(bool create) {
  MDB_txn* transaction = nullptr;
  int code = mdb_txn_begin(env_, nullptr, create ? 0 : MDB_RDONLY, &transaction);
  MDB_dbi handles[kNumFirstDatabases] = {};
  for (int i = 0; code == 0 && i < kNumFirstDatabases; ++i) {
    code = mdb_dbi_open(transaction, kDatabaseNames[i], create ? MDB_CREATE : 0, &handles[i]);
  }
  if (code == 0) {
    code = mdb_txn_commit(transaction);  // handles live on only when this is committed
  } else if (transaction != nullptr) {
    mdb_txn_abort(transaction);
  }
  if (code != 0) throw_lmdb_error(code, "open the memory bank in", directory_);
  std::copy(std::begin(handles), std::end(handles), std::begin(databases_));
  find_databases();
}

void Environment::find_databases() const {
  if (!database(Database::kMeta)) return;  // while it is opened its pages are not yet looked at
  MDB_envinfo info;
  if (database(Database::kHistories) || mdb_env_info(env_, &info) != 0) return;
  if (looked_at_commit_ == info.me_last_txnid) return;
  const std::scoped_lock lock(databases_mutex_);
  if (database(Database::kHistories)) return;
  MDB_txn* transaction = nullptr;
  MDB_dbi handle = 0;
  int code = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &transaction);
  if (code != 0) return;  // the transaction that asks will say why
  const std::uint64_t commit = mdb_txn_id(transaction);
  code = mdb_dbi_open(transaction, kDatabaseNames[kNumFirstDatabases], 0, &handle);
  if (code != 0) {
    mdb_txn_abort(transaction);
  } else if (mdb_txn_commit(transaction) == 0) {
    databases_[kNumFirstDatabases] = handle;
  }
  looked_at_commit_ = commit;
}

void Environment::create_database(Database database) const {
  find_databases();
  if (this->database(database)) return;
  const std::scoped_lock lock(databases_mutex_);
  const auto index = static_cast<int>(database);
  MDB_txn* transaction = nullptr;
  MDB_dbi handle = 0;
  int code = mdb_txn_begin(env_, nullptr, 0, &transaction);
  if (code == 0) {
    code = mdb_dbi_open(transaction, kDatabaseNames[index], MDB_CREATE, &handle);
    if (code == 0) {
      code = mdb_txn_commit(transaction);
    } else {
      mdb_txn_abort(transaction);
    }
  }
  if (code != 0) throw_lmdb_error(code, "write to", directory_);
  databases_[index] = handle;
}

struct SharedEnvironment::Registry {
  struct Entry {
    std::unique_ptr<Environment> environment;
    int num_users = 0;
  };
  std::mutex mutex;
  std::map<Key, Entry> entries;
};

SharedEnvironment::Registry& SharedEnvironment::registry() {
  static auto* const kRegistry = new Registry;  // outlives every static that may hold a bank
  return *kRegistry;
}

bool SharedEnvironment::is_in(const fs::path& directory) const {
  struct stat status {};
  if (::stat((directory / "data.mdb").c_str(), &status) != 0) return true;  // the call will say why
  return key_ == Key{status.st_dev, status.st_ino};
}

SharedEnvironment::SharedEnvironment(const fs::path& directory) {
  DirectoryHandle handle(directory);
  struct stat status {};
  if (::fstatat(handle.descriptor(), "data.mdb", &status, 0) != 0) {
    throw system_error("open", (directory / "data.mdb").string(), errno);
  }
  key_ = {status.st_dev, status.st_ino};
  // Held while opening and closing: the same file must never be open twice, not even for a moment.
  const std::scoped_lock lock(registry().mutex);
  auto& entry = registry().entries[key_];
  if (entry.num_users == 0) {
    try {
      entry.environment =
          std::make_unique<Environment>(directory, std::move(handle), /*create=*/false);
    } catch (...) {
      registry().entries.erase(key_);
      throw;
    }
  }
  ++entry.num_users;
  environment_ = entry.environment.get();
}

SharedEnvironment::~SharedEnvironment() {
  if (environment_ == nullptr) return;
  const std::scoped_lock lock(registry().mutex);
  const auto entry = registry().entries.find(key_);
  if (--entry->second.num_users == 0) registry().entries.erase(entry);
}

Transaction::Transaction(const Environment& environment, Kind kind)
    : environment_(environment),
      has_histories_(
          (environment.find_databases(), environment.database(Database::kHistories)).has_value()) {
  const unsigned flags = kind == Kind::kRead ? MDB_RDONLY : 0;
  int code = mdb_txn_begin(environment.get(), nullptr, flags, &transaction_);
  if (code == MDB_READERS_FULL) {
    int num_dead = 0;
    mdb_reader_check(environment.get(), &num_dead);
    code = mdb_txn_begin(environment.get(), nullptr, flags, &transaction_);
  }
  if (code != 0) fail(code, kind == Kind::kRead ? "read" : "write");
}

Transaction::~Transaction() {
  if (transaction_ != nullptr) mdb_txn_abort(transaction_);
}

void Transaction::fail(int code, const std::string& action) const {
  throw_lmdb_error(code, action, environment_.directory());
}

MDB_dbi Transaction::require(Database database) const {
  const auto handle = environment_.database(database);
  if (!handle || !has(database)) {
    throw Error(ErrorKind::kInternal,
                std::string("a bank without ") + kDatabaseNames[static_cast<int>(database)]);
  }
  return *handle;
}

std::optional<ByteView> Transaction::get(Database database, std::string_view key) const {
  if (key.empty() || !has(database)) return std::nullopt;  // LMDB calls the first an error
  MDB_val name = to_val(key);
  MDB_val value{};
  const int code = mdb_get(transaction_, require(database), &name, &value);
  if (code == MDB_NOTFOUND || code == MDB_BAD_VALSIZE) return std::nullopt;
  if (code != 0) fail(code, "read");
  return to_bytes(value);
}

std::uint64_t Transaction::id() const { return mdb_txn_id(transaction_); }

std::int64_t Transaction::count(Database database) const {
  if (!has(database)) return 0;
  MDB_stat stat;
  const int code = mdb_stat(transaction_, require(database), &stat);
  if (code != 0) fail(code, "read");
  return static_cast<std::int64_t>(stat.ms_entries);
}

void Transaction::for_each(
    Database database,
    const std::function<bool(std::string_view key, ByteView value)>& visit) const {
  if (!has(database)) return;
  MDB_cursor* opened = nullptr;
  int code = mdb_cursor_open(transaction_, require(database), &opened);
  if (code != 0) fail(code, "read");
  const std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> cursor(opened, &mdb_cursor_close);
  MDB_val key{};
  MDB_val value{};
  while ((code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT)) == 0) {
    if (!visit(to_key(key), to_bytes(value))) return;
  }
  if (code != MDB_NOTFOUND) fail(code, "read");
}

void Transaction::put(Database database, std::string_view key, std::string_view value) {
  MDB_val name = to_val(key);
  MDB_val data = to_val(value);
  const int code = mdb_put(transaction_, require(database), &name, &data, 0);
  if (code != 0) fail(code, "write to");
}

bool Transaction::remove(Database database, std::string_view key) {
  if (key.empty() || !has(database)) return false;
  MDB_val name = to_val(key);
  const int code = mdb_del(transaction_, require(database), &name, nullptr);
  if (code == MDB_NOTFOUND || code == MDB_BAD_VALSIZE) return false;
  if (code != 0) fail(code, "write to");
  return true;
}

void Transaction::commit() {
  const int code = mdb_txn_commit(std::exchange(transaction_, nullptr));
  if (code != 0) fail(code, "write to");
}

}  // namespace mmra::bank
