#include "mmra/bank/verifier.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <utility>

#include "mmra/bank/bank_files.h"
#include "mmra/bank/editor.h"
#include "mmra/bank/record_checks.h"
#include "mmra/bank/vector_table.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

namespace fs = std::filesystem;

class Verifier {
 public:
  Verifier(const Snapshot& snapshot, const fs::path& bank) : snapshot_(snapshot), bank_(bank) {}

  std::vector<Problem> run() {
    guarded("", [&] { schema_ = snapshot_.schema(); });
    guarded("", [&] { state_ = snapshot_.state(); });
    if (!problems_.empty()) return std::move(problems_);
    open_derived_file();
    check_records();
    check_others(Database::kFeatures, "features",
                 [&](std::string_view id, ByteView value) { check_features_value(id, value); });
    check_others(Database::kThumbnails, "thumbnails", [&](std::string_view id, ByteView value) {
      static_cast<void>(decode_thumbnails(id, value));
    });
    check_others(Database::kHistories, "counts", [&](std::string_view id, ByteView value) {
      static_cast<void>(decode_history(id, value));
    });
    if (problems_.empty() && !counted_.same_counts(state_)) {
      report("", "its counts of labels, videos, times, splits or tokens do not match the records");
    }
    compare_num_rows();
    return std::move(problems_);
  }

 private:
  void report(std::string_view id, const std::string& what) {
    problems_.push_back({std::string(id), what});
  }

  template <typename Action>
  void guarded(std::string_view id, const Action& action) {
    try {
      action();
    } catch (const Error& error) {
      report(id, error.what());
    }
  }

  void open_derived_file() {
    guarded("", [&] {
      std::string fault;
      derived_ = map_vector_file(vectors_file(bank_), {state_.generation, state_.commit_id}, fault);
      if (derived_ != nullptr && derived_->retrieval_dim() != schema_.retrieval_dim) {
        fault = "it has vectors of dimension " + std::to_string(derived_->retrieval_dim()) +
                ", expected " + std::to_string(schema_.retrieval_dim);
      } else if (derived_ != nullptr && !verify_vectors(*derived_)) {
        fault = "the checksum of its vectors does not match";
      }
      if (!fault.empty()) {
        derived_ = nullptr;
        report("", vectors_file(bank_).string() + " is damaged: " + fault +
                       "; delete it, it will be made again");
      }
    });
  }

  void check_records() {
    guarded("", [&] {
      snapshot_.transaction().for_each(Database::kRecords,
                                       [&](std::string_view id, ByteView value) {
                                         guarded(id, [&] { check_record_value(id, value); });
                                         ++num_records_;
                                         return true;
                                       });
    });
  }

  void check_record_value(std::string_view id, ByteView value) {
    const Record record = decode_record(id, value);
    check_record(record, schema_);
    counted_.count(record, +1);
    if (!snapshot_.transaction().get(Database::kFeatures, id)) {
      report(id, "the record has no features; remove it and ingest it again");
    }
    const auto history = snapshot_.find_history(id);
    if (history) check_label(record, *history);
    compare_with_derived(record, history);
  }

  void check_label(const Record& record, const PopularityHistory& history) {
    const Label label = label_of({history.untimed, history.timed}, record.posted_at,
                                 horizon_of(schema_.popularity_horizon));
    if (label.popularity != record.popularity) {
      report(record.id, "its popularity is not what its counts say; ingest it again");
    }
  }

  void compare_with_derived(const Record& record, const std::optional<PopularityHistory>& history) {
    if (derived_ == nullptr) return;
    const auto row = derived_->row_of(record.id);
    bool same = row && derived_->popularity(*row) == record.popularity &&
                derived_->posted_at(*row) == record.posted_at &&
                derived_->split(*row) == record.split;
    if (same && history) {
      const HistoryView view = derived_->history(*row);
      same = view.untimed == history->untimed &&
             std::equal(view.timed.begin(), view.timed.end(), history->timed.begin(),
                        history->timed.end());
    }
    if (!same) {
      report(record.id, "the derived file differs from the record; delete " +
                            vectors_file(bank_).string() + ", it will be made again");
    }
  }

  void check_features_value(std::string_view id, ByteView value) {
    const Features features = decode_features(id, value);
    check_features(std::string(id), features, schema_);
    counted_.count_tokens(features.visual_tokens.num_tokens, features.text_tokens.num_tokens, +1);
    if (derived_ == nullptr) return;
    const auto row = derived_->row_of(id);
    const auto dim = features.retrieval_vector.size();
    if (row && dim > 0 &&
        std::memcmp(features.retrieval_vector.data(),
                    derived_->retrieval_vectors().subspan(*row * dim, dim).data(),
                    dim * sizeof(float)) != 0) {
      report(id, "the derived file differs from the features; delete " +
                     vectors_file(bank_).string() + ", it will be made again");
    }
  }

  template <typename Check>
  void check_others(Database database, const std::string& what, const Check& check) {
    guarded("", [&] {
      snapshot_.transaction().for_each(database, [&](std::string_view id, ByteView value) {
        if (!snapshot_.transaction().get(Database::kRecords, id)) {
          report(id, "there are " + what + " but no record; remove the id and ingest it again");
        }
        guarded(id, [&] { check(id, value); });
        return true;
      });
    });
  }

  void compare_num_rows() {
    if (derived_ != nullptr && derived_->num_rows() != num_records_) {
      report("", "the derived file has " + std::to_string(derived_->num_rows()) +
                     " rows, the bank has " + std::to_string(num_records_) + " records");
    }
  }

  const Snapshot& snapshot_;
  fs::path bank_;
  std::vector<Problem> problems_;
  BankSchema schema_;
  BankState state_;
  BankState counted_;
  std::size_t num_records_ = 0;
  std::shared_ptr<const BankTable> derived_;
};

/// Finds what is wrong with each value, and what to do about it, before anything is changed.
class RepairPlan {
 public:
  explicit RepairPlan(const Snapshot& snapshot) : snapshot_(snapshot), schema_(snapshot.schema()) {
    check_records();
    check_others(Database::kFeatures, "features", [](std::string_view, ByteView) {});
    check_others(Database::kThumbnails, "thumbnails", [](std::string_view id, ByteView value) {
      static_cast<void>(decode_thumbnails(id, value));
    });
    check_others(Database::kHistories, "counts", [](std::string_view id, ByteView value) {
      static_cast<void>(decode_history(id, value));
    });
  }

  std::vector<Repair> carry_out(Editor& editor) && {
    for (const std::string& id : lost_) editor.remove(id);
    for (const auto& [database, id] : lost_values_) editor.remove_value(database, id);
    for (const Record& record : relabelled_) editor.put_record(record);
    return std::move(repairs_);
  }

 private:
  void lose(std::string_view id, const std::string& found) {
    if (!lost_.insert(std::string(id)).second) return;
    repairs_.push_back({std::string(id), found, "the record was removed; ingest it again"});
  }

  /// What is wrong as one line, empty where nothing is.
  template <typename Check>
  static std::string fault_of(const Check& check) {
    try {
      check();
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

  void check_records() {
    snapshot_.transaction().for_each(Database::kRecords, [&](std::string_view id, ByteView value) {
      std::optional<Record> record;
      const std::string fault = fault_of([&] {
        record = decode_record(id, value);
        check_record(*record, schema_);
        check_features(record->id, decode_features(id, snapshot_.features_value(id)), schema_);
      });
      if (!fault.empty()) {
        lose(id, fault);
      } else {
        check_label(*record);
      }
      return true;
    });
  }

  void check_label(const Record& record) {
    std::optional<PopularityHistory> history;
    const std::string fault = fault_of([&] { history = snapshot_.find_history(record.id); });
    if (!fault.empty() || !history) return;
    const Label label = label_of({history->untimed, history->timed}, record.posted_at,
                                 horizon_of(schema_.popularity_horizon));
    if (label.popularity == record.popularity) return;
    relabelled_.push_back(record);
    relabelled_.back().popularity = history->untimed;
    repairs_.push_back({record.id, "its popularity is not what its counts say",
                        "the popularity was made from the counts again"});
  }

  template <typename Check>
  void check_others(Database database, const std::string& what, const Check& check) {
    snapshot_.transaction().for_each(database, [&](std::string_view id, ByteView value) {
      if (!snapshot_.transaction().get(Database::kRecords, id)) {
        repairs_.push_back({std::string(id), "there are " + what + " but no record",
                            "the " + what + " were removed; ingest the record again"});
        lost_values_.emplace_back(database, id);
        return true;
      }
      const std::string fault = fault_of([&] { check(id, value); });
      if (!fault.empty() && lost_.count(std::string(id)) == 0) {
        repairs_.push_back({std::string(id), fault, "the " + what + " were removed"});
        lost_values_.emplace_back(database, id);
      }
      return true;
    });
  }

  const Snapshot& snapshot_;
  BankSchema schema_;
  std::vector<Repair> repairs_;
  std::set<std::string> lost_;
  std::vector<std::pair<Database, std::string>> lost_values_;
  std::vector<Record> relabelled_;
};

}  // namespace

std::vector<Problem> find_problems(const Snapshot& snapshot, const fs::path& bank) {
  return Verifier(snapshot, bank).run();
}

std::vector<Repair> repair_records(Snapshot& snapshot) {
  std::vector<Repair> repairs;
  RepairPlan plan(snapshot);
  Editor editor(snapshot);
  repairs = std::move(plan).carry_out(editor);
  const bool counts_differ = editor.recount();
  if (counts_differ && repairs.empty()) {
    repairs.push_back(
        {"", "its counts of labels, videos, times, splits or tokens were wrong", "counted anew"});
  }
  if (!repairs.empty()) editor.commit();
  return repairs;
}

}  // namespace mmra::bank
