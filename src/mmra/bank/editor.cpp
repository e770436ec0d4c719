#include "mmra/bank/editor.h"

#include "mmra/core/error.h"

namespace mmra::bank {

Editor::Editor(Snapshot& snapshot)
    : snapshot_(snapshot),
      state_(snapshot.state()),
      horizon_(horizon_of(snapshot.schema().popularity_horizon)) {}

void Editor::put(const StoredRecord& stored) {
  const std::string& id = stored.record.id;
  count_out_features(id);
  if (stored.history) {
    count_out(id);
    if (stored.history->timed.empty()) {
      snapshot_.transaction().remove(Database::kHistories, id);
      put_counted(stored.record);
    } else {
      put_with_history(stored.record, *stored.history);
    }
  } else {
    put_record(stored.record);
  }
  put_value(Database::kFeatures, id, encode_features(id, stored.features));
  if (stored.record.thumbnails.empty()) {
    snapshot_.transaction().remove(Database::kThumbnails, id);
  } else {
    put_value(Database::kThumbnails, id, encode_thumbnails(id, stored.record.thumbnails));
  }
  state_.count_tokens(stored.features.visual_tokens.num_tokens,
                      stored.features.text_tokens.num_tokens, +1);
}

void Editor::put_record(const Record& record) {
  const std::optional<Record> old = count_out(record.id);
  std::optional<PopularityHistory> history = sound_history(record.id);
  if (!history) {
    put_counted(record);
    return;
  }
  // What was read and is written back changed nothing: the label is no count of a manifest.
  const bool is_label = old && record.popularity == old->popularity;
  if (!is_label) history->untimed = record.popularity;
  put_with_history(record, *history);
}

bool Editor::observe(const Record& record, std::span<const Observation> observations) {
  std::optional<PopularityHistory> history = sound_history(record.id);
  if (!history) history = PopularityHistory{record.popularity, {}};
  bool changed = false;
  for (const Observation& observation : observations) {
    changed = history->add(observation) || changed;
  }
  if (!changed) return false;
  count_out(record.id);
  put_with_history(record, *history);
  return true;
}

bool Editor::remove(const std::string& id) {
  changed_ids_.push_back(id);
  count_out(id);
  count_out_features(id);
  bool there = false;
  for (const Database database :
       {Database::kRecords, Database::kFeatures, Database::kThumbnails, Database::kHistories}) {
    there = snapshot_.transaction().remove(database, id) || there;
  }
  return there;
}

void Editor::remove_value(Database database, const std::string& id) {
  must_recount_ = true;
  changed_ids_.push_back(id);
  snapshot_.transaction().remove(database, id);
}

void Editor::commit() {
  if (must_recount_) recount();
  snapshot_.commit(state_);
}

void Editor::put_value(Database database, const std::string& id, const Bytes& value) {
  changed_ids_.push_back(id);
  snapshot_.transaction().put(database, id, value);
}

void Editor::put_counted(const Record& record) {
  put_value(Database::kRecords, record.id, encode_record(record));
  state_.count(record, +1);
}

void Editor::put_with_history(const Record& record, const PopularityHistory& history) {
  put_value(Database::kHistories, record.id, encode_history(record.id, history));
  Record labelled = record;
  labelled.popularity =
      label_of({history.untimed, history.timed}, record.posted_at, horizon_).popularity;
  put_counted(labelled);
}

/// A damaged one is as good as none.
std::optional<PopularityHistory> Editor::sound_history(const std::string& id) {
  std::optional<PopularityHistory> history;
  tolerating_damage([&] { history = snapshot_.find_history(id); });
  return history;
}

/// Nobody knows what a damaged value counted for.
template <typename Action>
void Editor::tolerating_damage(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kCorruptData) throw;
    must_recount_ = true;
  }
}

std::optional<Record> Editor::count_out(const std::string& id) {
  std::optional<Record> old;
  tolerating_damage([&] {
    old = snapshot_.find(id);
    if (old) state_.count(*old, -1);
  });
  return old;
}

void Editor::count_out_features(const std::string& id) {
  tolerating_damage([&] {
    if (const auto old = snapshot_.transaction().get(Database::kFeatures, id)) {
      const FeaturesHeader header = read_features_header(id, *old, /*check=*/true);
      state_.count_tokens(header.visual_tokens, header.text_tokens, -1);
    }
  });
}

bool Editor::recount() {
  BankState counted;
  counted.generation = state_.generation;
  const Transaction& transaction = snapshot_.transaction();
  transaction.for_each(Database::kRecords, [&](std::string_view id, ByteView value) {
    tolerating_damage([&] { counted.count(decode_record(id, value), +1); });
    return true;
  });
  transaction.for_each(Database::kFeatures, [&](std::string_view id, ByteView value) {
    tolerating_damage([&] {
      const FeaturesHeader header = read_features_header(id, value, /*check=*/true);
      counted.count_tokens(header.visual_tokens, header.text_tokens, +1);
    });
    return true;
  });
  const bool were_right = counted.same_counts(state_);
  state_ = counted;
  return !were_right;
}

}  // namespace mmra::bank
