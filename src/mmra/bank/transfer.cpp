#include "mmra/bank/transfer.h"

#include <string>
#include <unordered_map>
#include <vector>

#include "mmra/bank/merge.h"
#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::bank {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kRecordsPerCommit = 256;
constexpr std::size_t kValuesPerCommit = std::size_t{4} << 20;

using Digests = std::unordered_map<std::string, std::uint64_t>;

Digests digests_of(const MemoryBank& bank) {
  Digests digests;
  bank.for_each_digest(
      [&](std::string_view id, std::uint64_t digest) { digests.emplace(id, digest); });
  return digests;
}

void copy_encoders(const fs::path& from, const fs::path& into) {
  const fs::path to = encoders_directory(into);
  make_directories(to.parent_path());
  std::error_code code;
  fs::remove_all(to, code);
  if (fs::exists(encoders_directory(from), code)) copy_directory(encoders_directory(from), to);
}

std::unique_ptr<MemoryBank> open_or_make(const fs::path& from, const BankSchema& schema,
                                         const fs::path& into) {
  if (bank_exists(into)) {
    auto bank = open_bank(into, OpenMode::kReadWrite);
    require_fit(bank->info().schema, schema);
    bank->add_context_columns(schema.context_columns);
    return bank;
  }
  require_free_directory(into);
  copy_encoders(from, into);
  return create_bank(into, schema);
}

class Transfer {
 public:
  Transfer(const MemoryBank& from, MemoryBank& into, const fs::path& into_name,
           const TransferOptions& options)
      : from_(from), into_(into), into_name_(into_name.string()), options_(options) {}

  TransferReport run() {
    expected_ = digests_of(from_);
    report_.num_records = static_cast<std::int64_t>(expected_.size());
    report_.num_same = report_.num_records - send_what_differs();
    if (options_.begin_verifying) options_.begin_verifying();
    std::vector<Problem> problems = into_.verify();
    if (!problems.empty()) {
      // A server that was killed may have lost what it had acknowledged.
      static_cast<void>(into_.repair());
      send_what_differs();
      problems = into_.verify();
    }
    require_true_copy(problems);
    return report_;
  }

 private:
  /// How many records that was. Throws Interrupted when stopped.
  std::int64_t send_what_differs() {
    const Digests there = digests_of(into_);
    for (const auto& [id, digest] : there) {
      if (expected_.contains(id)) continue;
      throw Error(ErrorKind::kInvalidInput,
                  into_name_ + " holds records that are not in the bank to be copied, such as " +
                      in_quotes(id) +
                      "; remove them, name another place, or use `mmra bank merge`");
    }
    const auto is_wanted = [&](std::string_view id) {
      const std::string key(id);
      const auto own = expected_.find(key);
      const auto other = there.find(key);
      return own != expected_.end() && (other == there.end() || other->second != own->second);
    };
    std::int64_t num_to_send = 0;
    for (const auto& [id, digest] : expected_) num_to_send += is_wanted(id) ? 1 : 0;
    if (options_.begin) options_.begin(num_to_send);
    from_.for_each_stored(is_wanted, [&](StoredRecord&& stored) {
      add(std::move(stored));
      return !options_.stop.stop_requested();
    });
    commit();
    if (options_.stop.stop_requested()) throw Interrupted();
    into_.flush();
    return num_to_send;
  }

  void add(StoredRecord stored) {
    num_values_ +=
        stored.features.visual_tokens.values.size() + stored.features.text_tokens.values.size();
    batch_.push_back(std::move(stored));
    if (batch_.size() >= kRecordsPerCommit || num_values_ >= kValuesPerCommit) commit();
  }

  void commit() {
    if (batch_.empty()) return;
    into_.put(batch_);
    report_.num_sent += static_cast<std::int64_t>(batch_.size());
    batch_.clear();
    num_values_ = 0;
    if (options_.acknowledge) options_.acknowledge(report_.num_sent);
  }

  void require_true_copy(const std::vector<Problem>& problems) const {
    const Digests there = digests_of(into_);
    if (there.size() != expected_.size()) {
      fail(std::to_string(there.size()) + " records are there, " +
           std::to_string(expected_.size()) + " were expected");
    }
    for (const auto& [id, digest] : expected_) {
      const auto found = there.find(id);
      if (found == there.end()) fail("the record " + in_quotes(id) + " is not there");
      if (found->second != digest) {
        fail("the checksum of the record " + in_quotes(id) + " is another");
      }
    }
    if (!problems.empty()) {
      fail((problems.front().id.empty() ? "" : in_quotes(problems.front().id) + ": ") +
           problems.front().what);
    }
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kCorruptData, into_name_ + " is no true copy: " + what +
                                             "; was either bank written meanwhile? Run the same "
                                             "command again");
  }

  const MemoryBank& from_;
  MemoryBank& into_;
  std::string into_name_;
  const TransferOptions& options_;
  Digests expected_;
  TransferReport report_;
  std::vector<StoredRecord> batch_;
  std::size_t num_values_ = 0;
};

}  // namespace

TransferReport transfer_bank(const fs::path& from, const fs::path& into,
                             const TransferOptions& options) {
  const auto source = open_bank(from, OpenMode::kReadOnly);
  const auto target = open_or_make(from, source->info().schema, into);
  TransferReport report = Transfer(*source, *target, into, options).run();
  (void)target->table();  // saves the derived file
  return report;
}

}  // namespace mmra::bank
