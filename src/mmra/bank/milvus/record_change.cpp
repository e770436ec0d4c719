#include "mmra/bank/milvus/record_change.h"

#include <cstdint>
#include <utility>

#include "mmra/bank/milvus/unnamed_values.h"
#include "mmra/bank/record_codec.h"

namespace mmra::bank {

void RecordChange::set_record(const Record& record, const std::optional<PopularityHistory>& given,
                              const BankSchema& schema) {
  const auto horizon = horizon_of(schema.popularity_horizon);
  std::optional<PopularityHistory> counts = given ? given : history;
  if (counts && counts->timed.empty()) counts.reset();
  Record labelled = record;
  if (counts) {
    // What was read and is written back changed nothing: the label is no count of a manifest.
    const bool is_label = row && record.popularity == row->popularity;
    if (!given && !is_label) counts->untimed = record.popularity;
    labelled.popularity =
        label_of({counts->untimed, counts->timed}, record.posted_at, horizon).popularity;
  }
  StoredRow changed = summarise(labelled, counts ? &*counts : nullptr, horizon);
  if (row) {
    changed.values = row->values;
    changed.visual_tokens = row->visual_tokens;
    changed.text_tokens = row->text_tokens;
  }
  row = std::move(changed);
  set_value('R', encode_record(labelled));
  if (counts) {
    set_value('O', encode_history(record.id, *counts));
  } else {
    unset_value('O');
  }
  history = std::move(counts);
}

void RecordChange::put(const StoredRecord& stored, const BankSchema& schema) {
  const std::string& id = stored.record.id;
  set_record(stored.record, stored.history, schema);
  set_value('F', encode_features(id, stored.features));
  if (stored.record.thumbnails.empty()) {
    unset_value('T');
  } else {
    set_value('T', encode_thumbnails(id, stored.record.thumbnails));
  }
  row->visual_tokens = stored.features.visual_tokens.num_tokens;
  row->text_tokens = stored.features.text_tokens.num_tokens;
  vector = stored.features.retrieval_vector;
  vector.resize(static_cast<std::size_t>(stored_dim(schema.retrieval_dim)), 0.0F);
}

std::optional<PopularityHistory> RecordChange::observe(
    std::span<const RecordObservation> observations, std::span<const std::size_t> which,
    ObserveReport& report) const {
  PopularityHistory counts = history.value_or(PopularityHistory{row->popularity, {}});
  std::int64_t num_counts = 0;
  bool changed = false;
  for (const std::size_t i : which) {
    const Observation& observation = observations[i].observation;
    if (row->posted_at && observation.observed_at < *row->posted_at) {
      report.early.push_back(i);
    } else {
      ++num_counts;
      changed = counts.add(observation) || changed;
    }
  }
  (changed ? report.num_added : report.num_unchanged) += num_counts;
  return changed ? std::optional(std::move(counts)) : std::nullopt;
}

void RecordChange::set_value(char kind, Bytes bytes) {
  std::erase_if(row->values, [&](const ValueName& each) { return each.kind == kind; });
  row->values.push_back(name_value(kind, row->id, bytes));
  new_values[kind] = std::move(bytes);
}

void RecordChange::unset_value(char kind) {
  std::erase_if(row->values, [&](const ValueName& each) { return each.kind == kind; });
  new_values.erase(kind);
}

void note_stale(const RecordChanges& changes, std::set<std::string>& stale) {
  for (const auto& [id, change] : changes) {
    if (change.old) insert_keys(*change.old, stale);
    if (!change.row) continue;
    for (const ValueName& name : change.row->values) {
      for (const std::string& key : keys_of(name, id)) stale.erase(key);
    }
  }
}

}  // namespace mmra::bank
