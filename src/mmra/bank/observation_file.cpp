#include "mmra/bank/observation_file.h"

#include <chrono>
#include <utility>
#include <vector>

#include "mmra/bank/input_file.h"
#include "mmra/bank/manifest_values.h"
#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kRowsPerCommit = 4096;
constexpr auto kCommitInterval = std::chrono::seconds(1);

const RawValue& require(const std::string& file, const RawRow& row, const std::string& column) {
  const RawValue* value = row.find(column);
  if (value == nullptr) fail_at_line(file, row.line, "the row has no " + in_quotes(column));
  if (value->text.empty()) fail_at(file, *value, "nothing is given; a count needs all three");
  return *value;
}

class Update {
 public:
  Update(MemoryBank& bank, std::string name, const UpdateOptions& options)
      : bank_(bank), name_(std::move(name)), options_(options) {}

  bool add(const ObservationRow& row) {
    ++report_.num_rows;
    lines_.push_back(row.line);
    batch_.push_back(row.observation);
    if (batch_.size() >= kRowsPerCommit || Clock::now() - last_commit_ > kCommitInterval) commit();
    return !options_.stop.stop_requested();
  }

  UpdateReport finish() {
    commit();
    if (options_.stop.stop_requested()) throw Interrupted();
    bank_.flush();
    return report_;
  }

 private:
  void commit() {
    last_commit_ = Clock::now();
    if (batch_.empty()) return;
    const ObserveReport done = bank_.observe(batch_);
    report_.num_added += done.num_added;
    report_.num_unchanged += done.num_unchanged;
    report_.num_unknown += static_cast<std::int64_t>(done.unknown.size());
    report_.num_early += static_cast<std::int64_t>(done.early.size());
    for (const std::size_t i : done.unknown) note(i, "the bank has no record of this id");
    for (const std::size_t i : done.early) note(i, "counted before the record was posted");
    batch_.clear();
    lines_.clear();
    if (options_.acknowledge) options_.acknowledge(report_);
  }

  void note(std::size_t index, const std::string& what) const {
    if (!options_.note) return;
    options_.note(name_ + ", line " + std::to_string(lines_[index]) + ": " +
                  in_quotes(batch_[index].id) + " left out: " + what);
  }

  MemoryBank& bank_;
  std::string name_;
  const UpdateOptions& options_;
  UpdateReport report_;
  std::vector<RecordObservation> batch_;
  std::vector<std::int64_t> lines_;
  Clock::time_point last_commit_ = Clock::now();
};

}  // namespace

void read_observations(ByteSource source, const std::string& name,
                       const std::function<bool(const ObservationRow&)>& visit) {
  TextInput input(std::move(source), name);
  const auto rows = open_raw_rows(input, {"id", "popularity", "observed_at"});
  while (const auto raw = rows->next()) {
    ObservationRow row;
    row.line = raw->line;
    row.observation.id = id_of(name, require(name, *raw, "id"));
    row.observation.observation = {*time_of(name, require(name, *raw, "observed_at")),
                                   *popularity_of(name, require(name, *raw, "popularity"))};
    if (!visit(row)) return;
  }
}

UpdateReport update_from_file(MemoryBank& bank, const std::filesystem::path& file,
                              const UpdateOptions& options) {
  const InputFile checked(file);
  if (checked.can_be_read_again()) {
    read_observations(checked.source(), checked.name(), [&](const ObservationRow& /*row*/) {
      return !options.stop.stop_requested();
    });
  }
  std::optional<InputFile> again;
  if (checked.can_be_read_again()) again.emplace(file);
  const InputFile& input = again ? *again : checked;
  Update update(bank, input.name(), options);
  read_observations(input.source(), input.name(),
                    [&](const ObservationRow& row) { return update.add(row); });
  return update.finish();
}

}  // namespace mmra::bank
