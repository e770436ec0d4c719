#include "mmra/bank/milvus/verifier.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "mmra/bank/milvus/bank_head.h"
#include "mmra/bank/milvus/record_reader.h"
#include "mmra/bank/milvus/row_reader.h"
#include "mmra/bank/milvus/unnamed_values.h"
#include "mmra/bank/record_checks.h"
#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

[[noreturn]] void refuse(const std::string& what) { throw Error(ErrorKind::kCorruptData, what); }

void check_names(const StoredRow& row, const RecordValues& values) {
  if (values.size() != row.values.size()) refuse("some of its values are missing");
  for (const ValueName& name : row.values) {
    if (name_value(name.kind, row.id, values.at(name.kind)) != name) {
      refuse(std::string("its value ") + name.kind + " is another than the one it names");
    }
  }
}

/// One walk through a bank, with what it finds.
class Verification {
 public:
  explicit Verification(const MilvusCollections& collections)
      : collections_(collections),
        schema_(read_schema(collections, MilvusMoment::latest())),
        before_(read_head(collections, MilvusMoment::latest())) {}

  std::vector<Problem> run() && {
    const int limit = rows_per_vector_page(schema_.retrieval_dim);
    std::string last;
    do {
      last = check_page(last, limit);
    } while (!last.empty());
    check_counts();
    // A writer's rows and values come one after the other.
    if (!before_.is_writing) {
      check_num_rows();
      check_unnamed();
    }
    return std::move(problems_);
  }

 private:
  /// The rows behind `after_id`; says the last one's id, "": there were none.
  std::string check_page(const std::string& after_id, int limit) {
    const MilvusMoment moment = collections_.now();
    const MilvusRows page =
        query_rows_with_vectors(collections_, filter_after(after_id), limit, moment);
    num_rows_ += static_cast<std::int64_t>(page.num_rows());
    std::vector<StoredRow> rows;
    std::vector<std::size_t> places;
    std::string last;
    for (std::size_t i = 0; i < page.num_rows(); ++i) {
      const std::string& id = page.texts("id")[i];
      last = std::max(last, id);
      if (auto row = parse_or_note(page, i)) {
        rows.push_back(std::move(*row));
        places.push_back(i);
      }
    }
    const auto dim = static_cast<std::size_t>(stored_dim(schema_.retrieval_dim));
    const auto check_one = [&](std::size_t i, const ValuePieces& pieces) {
      check_one_row(rows[i], page.vector("vector", places[i], dim), pieces);
      return true;
    };
    for_each_with_pieces(collections_, rows, kRecordKinds, moment, check_one);
    return last;
  }

  std::optional<StoredRow> parse_or_note(const MilvusRows& page, std::size_t i) {
    try {
      return parse_row(page, i);
    } catch (const Error& error) {
      const std::string& id = page.texts("id")[i];
      problems_.push_back({id, error.what()});
      unreadable_.insert(id);
      return std::nullopt;
    }
  }

  void check_one_row(const StoredRow& row, std::span<const float> vector,
                     const ValuePieces& pieces) {
    try {
      check_row(row, vector, assemble(row, kRecordKinds, pieces), schema_);
    } catch (const Error& error) {
      problems_.push_back({row.id, error.what()});
    }
    row.count(counted_, +1);
    insert_keys(row, named_);
  }

  void check_counts() {
    if (before_.is_writing) {
      add("a writer is at work, or was killed; the next one puts its counts right");
    } else if (problems_.empty() && !counted_.same_counts(before_.state)) {
      add("its counts of labels, videos, times, splits or tokens do not match the records");
    }
  }

  void check_num_rows() {
    const std::int64_t num_there = collections_.count_rows();
    if (num_there == num_rows_) return;
    add(std::to_string(num_there) + " rows are there of " + std::to_string(num_rows_) + " records");
  }

  void check_unnamed() {
    if (!before_.is_settled) return;
    auto unnamed = unnamed_values(collections_, named_);
    // What these name, nobody knows.
    std::erase_if(unnamed,
                  [&](const std::string& key) { return unreadable_.contains(id_of_key(key)); });
    if (unnamed.empty()) return;
    add(std::to_string(unnamed.size()) + " values of no record, the first is " +
        in_quotes(unnamed.front()));
  }

  void add(std::string what) { problems_.push_back({"", std::move(what)}); }

  const MilvusCollections& collections_;
  BankSchema schema_;
  BankHead before_;
  BankState counted_;
  std::set<std::string> named_;
  std::set<std::string> unreadable_;  ///< ids of rows
  std::int64_t num_rows_ = 0;
  std::vector<Problem> problems_;
};

}  // namespace

std::vector<Problem> find_problems(const MilvusCollections& collections) {
  return Verification(collections).run();
}

void check_row(const StoredRow& row, std::span<const float> vector, const RecordValues& values,
               const BankSchema& schema) {
  check_names(row, values);
  const Record record = record_of(row.id, values);
  check_record(record, schema);
  const Features features = features_of(row.id, values);
  check_features(row.id, features, schema);
  static_cast<void>(thumbnails_of(row.id, values));
  const std::optional<PopularityHistory> history = counts_of(row.id, values);
  if (history) check_history(row.id, *history);
  StoredRow expected =
      summarise(record, history ? &*history : nullptr, horizon_of(schema.popularity_horizon));
  expected.values = row.values;
  expected.visual_tokens = features.visual_tokens.num_tokens;
  expected.text_tokens = features.text_tokens.num_tokens;
  if (row != expected) refuse("its row differs from its record");
  if (!std::equal(features.retrieval_vector.begin(), features.retrieval_vector.end(),
                  vector.begin())) {
    refuse("the vector of its row differs from that of its features");
  }
}

}  // namespace mmra::bank
