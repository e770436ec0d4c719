#include "mmra/bank/bank_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>

#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::bank {
namespace {

namespace fs = std::filesystem;

// A transaction's dirty pages are in memory until it is committed.
constexpr std::size_t kBytesPerCommit = std::size_t{32} << 20;

void remove_directory(const fs::path& directory) {
  std::error_code code;
  fs::remove_all(directory, code);
  if (code) throw system_error("remove", directory.string(), code.value());
}

/// Puts values, with a commit every now and then.
class Filler {
 public:
  explicit Filler(const Environment& environment) : environment_(environment) {}

  void put(Database database, std::string_view key, ByteView value) {
    if (!transaction_) {
      transaction_ = std::make_unique<Transaction>(environment_, Transaction::Kind::kWrite);
    }
    transaction_->put(database, key,
                      std::string_view(reinterpret_cast<const char*>(value.data()), value.size()));
    num_bytes_ += value.size();
    if (num_bytes_ >= kBytesPerCommit) commit();
  }
  void commit() {
    if (transaction_) transaction_->commit();
    transaction_.reset();
    num_bytes_ = 0;
  }

 private:
  const Environment& environment_;
  std::unique_ptr<Transaction> transaction_;
  std::size_t num_bytes_ = 0;
};

}  // namespace

fs::path records_directory(const fs::path& bank) { return bank / "records"; }
fs::path derived_directory(const fs::path& bank) { return bank / "derived"; }
fs::path vectors_file(const fs::path& bank) { return derived_directory(bank) / "vectors.bin"; }
fs::path unfinished_directory(const fs::path& bank) { return bank / "records.unfinished"; }
fs::path compacting_directory(const fs::path& bank) { return bank / "records.compacting"; }
fs::path removed_derived_directory(const fs::path& bank) { return bank / "derived.removed"; }
fs::path encoders_below(const fs::path& files) { return files / "encoders"; }

void require_no_other_files(const fs::path& directory) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(directory, code)) {
    const std::string name = entry.path().filename().string();
    if (name == "encoders" || name == "records.unfinished" || name == "writer.lock") continue;
    throw Error(ErrorKind::kInvalidInput, directory.string() +
                                              " is no memory bank and holds other things (" + name +
                                              "); name a new directory for the bank");
  }
}

std::int64_t disk_bytes_of(const fs::path& directory) {
  std::int64_t bytes = 0;
  std::error_code code;
  for (fs::recursive_directory_iterator at(directory, code), end; !code && at != end;
       at.increment(code)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored)) {
      const auto size = at->file_size(ignored);
      if (!ignored) bytes += static_cast<std::int64_t>(size);
    }
  }
  return bytes;
}

void sync_directory(const fs::path& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw system_error("open", directory.string(), errno);
  ::fsync(descriptor);
  ::close(descriptor);
}

void remove_leftovers(const fs::path& bank) {
  remove_directory(compacting_directory(bank));
  remove_directory(removed_derived_directory(bank));
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(derived_directory(bank), code)) {
    const std::string name = entry.path().filename().string();
    if (name.find(".tmp.") != std::string::npos) remove_directory(entry.path());
  }
}

void exchange_directories(const fs::path& a, const fs::path& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return;
  const int error_number = errno;
  if (error_number == EINVAL || error_number == ENOSYS) {
    throw Error(ErrorKind::kUnsupported,
                "the file system of " + a.string() +
                    " cannot exchange two directories; make a compact copy with `mmra bank "
                    "backup --out DIR` instead");
  }
  throw system_error("exchange", a.string(), error_number);
}

void copy_records(const Transaction& from, const fs::path& directory) {
  remove_directory(directory);
  make_directories(directory);
  {
    const Environment environment(directory, /*create=*/true);
    if (from.has(Database::kHistories)) environment.create_database(Database::kHistories);
    Filler filler(environment);
    for (const Database database : {Database::kRecords, Database::kFeatures, Database::kThumbnails,
                                    Database::kHistories, Database::kMeta}) {
      from.for_each(database, [&](std::string_view key, ByteView value) {
        filler.put(database, key, value);
        return true;
      });
    }
    filler.commit();
  }
  sync_directory(directory);
}

}  // namespace mmra::bank
