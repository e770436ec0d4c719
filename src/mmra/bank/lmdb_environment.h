#pragma once

#include <lmdb.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "mmra/bank/lmdb_pages.h"
#include "mmra/bank/record_codec.h"
#include "mmra/core/error.h"

namespace mmra::bank {

/// The sub-databases of a bank. The first four are always there, the others from when they are
/// needed on.
enum class Database { kMeta = 0, kRecords = 1, kFeatures = 2, kThumbnails = 3, kHistories = 4 };
inline constexpr int kNumDatabases = 5;
inline constexpr int kNumFirstDatabases = 4;

/// A directory held open: what is opened through it is in this very directory, also when another
/// one gets its name meanwhile (as `bank compact` does).
class DirectoryHandle {
 public:
  /// Throws Error{kNotFound|kIo}.
  explicit DirectoryHandle(const std::filesystem::path& directory);
  DirectoryHandle(DirectoryHandle&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}
  DirectoryHandle& operator=(DirectoryHandle&&) = delete;
  ~DirectoryHandle();

  [[nodiscard]] int descriptor() const { return descriptor_; }
  /// A path that leads into it, whatever its name is.
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  int descriptor_ = -1;
  std::filesystem::path path_;
};

/// One open LMDB environment. A process must open each only once (closing a second one would drop
/// the locks of the first), so all users of one share it: see SharedEnvironment.
class Environment {
 public:
  /// Opens what is in `directory`; `create` makes the sub-databases. Readers, too, open for writing
  /// where they may, because a later writer in this process shares what they opened; on a read-only
  /// directory it is opened without locks. Throws Error{kCorruptData|kIo}.
  Environment(const std::filesystem::path& directory, bool create);
  Environment(const std::filesystem::path& directory, DirectoryHandle handle, bool create);
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment();

  [[nodiscard]] MDB_env* get() const { return env_; }
  /// Empty where the newest commit that was looked at has none (Database::kHistories).
  [[nodiscard]] std::optional<MDB_dbi> database(Database database) const {
    const std::int64_t handle = databases_[static_cast<int>(database)];
    return handle < 0 ? std::nullopt : std::optional(static_cast<MDB_dbi>(handle));
  }
  /// Makes it where it is not there, in a commit of its own; not while this thread has a write
  /// transaction open.
  void create_database(Database database) const;
  /// Looks whether another process has made one since; cheap.
  void find_databases() const;
  [[nodiscard]] bool writable() const { return writable_; }
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

  /// Looks at the pages of the newest commit. What LMDB follows while it reads has been looked at
  /// by the constructor. Throws Error{kCorruptData} that names the page.
  void check_pages(PageCheck check) const;

 private:
  void open(bool create);
  /// LMDB's code; env_ is open where it is 0.
  int try_open(unsigned flags, std::size_t map_bytes);
  int try_open_any_size(unsigned flags);
  void check_metas() const;
  [[nodiscard]] std::filesystem::path data_file() const;
  void cover_map_with_file() const;
  void open_databases(bool create);

  std::filesystem::path directory_;  ///< for messages
  DirectoryHandle handle_;
  MDB_env* env_ = nullptr;
  // LMDB wants handles opened by one transaction at a time.
  mutable std::mutex databases_mutex_;
  mutable std::atomic<std::int64_t> databases_[kNumDatabases];  ///< below 0: not there
  mutable std::atomic<std::uint64_t> looked_at_commit_{0};
  bool writable_ = false;
};

/// A share in the process's only Environment of a directory (by inode, whatever its name).
class SharedEnvironment {
 public:
  explicit SharedEnvironment(const std::filesystem::path& directory);
  /// Whether `directory` still has the data file that is open here.
  [[nodiscard]] bool is_in(const std::filesystem::path& directory) const;
  SharedEnvironment(SharedEnvironment&& other) noexcept
      : environment_(std::exchange(other.environment_, nullptr)), key_(std::move(other.key_)) {}
  SharedEnvironment& operator=(SharedEnvironment&&) = delete;
  ~SharedEnvironment();

  [[nodiscard]] const Environment& get() const { return *environment_; }

 private:
  using Key = std::pair<dev_t, ino_t>;
  struct Registry;
  static Registry& registry();

  Environment* environment_ = nullptr;
  Key key_;
};

/// An LMDB transaction: a snapshot for reading, or all-or-nothing writing. Ends without effect
/// where commit() is not called. Not thread-safe; values live until the next write or the end.
class Transaction {
 public:
  enum class Kind { kRead, kWrite };
  Transaction(const Environment& environment, Kind kind);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  /// The commit that is read, or that this would become.
  [[nodiscard]] std::uint64_t id() const;
  [[nodiscard]] bool has(Database database) const {
    return database != Database::kHistories || has_histories_;
  }
  /// A database that is not there has no values.
  [[nodiscard]] std::optional<ByteView> get(Database database, std::string_view key) const;
  [[nodiscard]] std::int64_t count(Database database) const;
  /// In ascending order of the keys' bytes; `visit` returns false to stop.
  void for_each(Database database,
                const std::function<bool(std::string_view key, ByteView value)>& visit) const;

  void put(Database database, std::string_view key, std::string_view value);
  /// False where it was not there.
  bool remove(Database database, std::string_view key);
  /// Durable on return. Throws Error{kIo} (disk full, …), nothing is then changed.
  void commit();

 private:
  [[noreturn]] void fail(int code, const std::string& action) const;
  /// Throws Error{kInternal} where it is not there.
  [[nodiscard]] MDB_dbi require(Database database) const;

  const Environment& environment_;
  bool has_histories_;  ///< a handle that came later is not this transaction's
  MDB_txn* transaction_ = nullptr;
};

}  // namespace mmra::bank
