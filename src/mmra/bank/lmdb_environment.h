#pragma once

#include <lmdb.h>
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "mmra/bank/lmdb_pages.h"
#include "mmra/bank/record_codec.h"
#include "mmra/core/error.h"

namespace mmra::bank {

/// The sub-databases of a bank.
enum class Database { kMeta = 0, kRecords = 1, kFeatures = 2, kThumbnails = 3 };
inline constexpr int kNumDatabases = 4;

/// One open LMDB environment. A process must open each only once (closing a second one would drop
/// the locks of the first), so all users of one share it: see SharedEnvironment.
class Environment {
 public:
  /// Opens what is in `directory`; `create` makes the sub-databases. Readers, too, open for writing
  /// where they may, because a later writer in this process shares what they opened; on a read-only
  /// directory it is opened without locks. Throws Error{kCorruptData|kIo}.
  Environment(const std::filesystem::path& directory, bool create);
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment();

  [[nodiscard]] MDB_env* get() const { return env_; }
  [[nodiscard]] MDB_dbi database(Database database) const {
    return databases_[static_cast<int>(database)];
  }
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
  void cover_map_with_file() const;
  void open_databases(bool create);

  std::filesystem::path directory_;
  MDB_env* env_ = nullptr;
  MDB_dbi databases_[kNumDatabases] = {};
  bool writable_ = false;
};

/// A share in the process's only Environment of a directory (by inode, whatever its name).
class SharedEnvironment {
 public:
  explicit SharedEnvironment(const std::filesystem::path& directory);
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
  [[nodiscard]] std::optional<ByteView> get(Database database, std::string_view key) const;
  [[nodiscard]] std::int64_t count(Database database) const;
  /// In ascending order of the keys' bytes; `visit` returns false to stop.
  void for_each(Database database,
                const std::function<bool(std::string_view key, ByteView value)>& visit) const;

  void put(Database database, std::string_view key, const Bytes& value);
  /// False where it was not there.
  bool remove(Database database, std::string_view key);
  /// Durable on return. Throws Error{kIo} (disk full, …), nothing is then changed.
  void commit();

 private:
  [[noreturn]] void fail(int code, const std::string& action) const;

  const Environment& environment_;
  MDB_txn* transaction_ = nullptr;
};

}  // namespace mmra::bank
