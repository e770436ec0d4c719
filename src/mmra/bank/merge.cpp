#include "mmra/bank/merge.h"

#include <string>
#include <vector>

#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

constexpr std::size_t kRecordsPerCommit = 256;

void require_same(const std::string& what, const std::string& own, const std::string& other) {
  if (own == other) return;
  throw Error(ErrorKind::kInvalidInput, "the banks do not go together: they differ in " + what +
                                            " (\"" + own + "\" and \"" + other +
                                            "\"); export the other one and ingest it");
}

/// The counts of both; of one moment, and the untimed one, those of `first`.
PopularityHistory united(const PopularityHistory& first, const PopularityHistory& second) {
  PopularityHistory both = second;
  for (const Observation& observation : first.timed) both.add(observation);
  both.untimed = first.untimed ? first.untimed : second.untimed;
  return both;
}

class Merge {
 public:
  Merge(MemoryBank& into, const MemoryBank& from, const MergeOptions& options)
      : into_(into), from_(from), options_(options) {}

  MergeReport run() {
    // Ids first: a transaction that stays open for all of it would keep the other bank's space from
    // being used again by a writer there.
    std::vector<std::string> ids;
    from_.for_each([&](const Record& record) {
      ids.push_back(record.id);
      return !options_.stop.stop_requested();
    });
    for (const std::string& id : ids) {
      if (options_.stop.stop_requested()) break;
      add(id);
      if (batch_.size() >= kRecordsPerCommit) commit();
    }
    commit();
    if (options_.stop.stop_requested()) throw Interrupted();
    into_.flush();
    return report_;
  }

 private:
  void add(const std::string& id) {
    auto record = from_.find(id);
    auto features = from_.find_features(id);
    auto history = from_.find_history(id);
    if (!record || !features || !history) return;  // removed meanwhile
    ++report_.num_records;
    const auto own_history = into_.find_history(id);
    if (!own_history) {
      ++report_.num_added;
      batch_.push_back({std::move(*record), std::move(*features), std::move(*history)});
      return;
    }
    if (options_.conflict == Conflict::kTake) {
      ++report_.num_replaced;
      PopularityHistory both = united(*history, *own_history);
      batch_.push_back({std::move(*record), std::move(*features), std::move(both)});
      return;
    }
    ++report_.num_kept;
    PopularityHistory both = united(*own_history, *history);
    if (both == *own_history) return;
    auto own = into_.find(id);
    auto own_features = into_.find_features(id);
    if (!own || !own_features) return;
    ++report_.num_counted;
    if (both.timed.empty()) own->popularity = both.untimed;
    batch_.push_back({std::move(*own), std::move(*own_features), std::move(both)});
  }

  void commit() {
    into_.put(batch_);
    batch_.clear();
    if (options_.acknowledge) options_.acknowledge(report_.num_records);
  }

  MemoryBank& into_;
  const MemoryBank& from_;
  const MergeOptions& options_;
  MergeReport report_;
  std::vector<StoredRecord> batch_;
};

}  // namespace

void require_fit(const BankSchema& own, const BankSchema& other) {
  require_same("encoders", own.encoders_name + " " + own.encoders_fingerprint,
               other.encoders_name + " " + other.encoders_fingerprint);
  require_same("frames", std::to_string(own.num_frames), std::to_string(other.num_frames));
  require_same("visual dimension", std::to_string(own.visual_dim),
               std::to_string(other.visual_dim));
  require_same("text dimension", std::to_string(own.text_dim), std::to_string(other.text_dim));
  require_same("retrieval dimension", std::to_string(own.retrieval_dim),
               std::to_string(other.retrieval_dim));
  require_same("what popularity counts", own.popularity_unit, other.popularity_unit);
  require_same("horizon", own.popularity_horizon, other.popularity_horizon);
}

MergeReport merge_banks(MemoryBank& into, const MemoryBank& from, const MergeOptions& options) {
  const BankSchema other = from.info().schema;
  require_fit(into.info().schema, other);
  into.add_context_columns(other.context_columns);
  return Merge(into, from, options).run();
}

}  // namespace mmra::bank
