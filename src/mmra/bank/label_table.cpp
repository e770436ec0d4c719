#include "mmra/bank/label_table.h"

#include <cmath>
#include <limits>
#include <utility>

namespace mmra::bank {
namespace {

class HorizonTable final : public BankTable {
 public:
  HorizonTable(std::shared_ptr<const BankTable> table, Duration horizon)
      : table_(std::move(table)), horizon_(horizon) {
    popularity_.reserve(table_->num_rows());
    for (std::size_t row = 0; row < table_->num_rows(); ++row) {
      popularity_.push_back(
          label(row).popularity.value_or(std::numeric_limits<double>::quiet_NaN()));
    }
  }

  [[nodiscard]] std::uint64_t generation() const override { return table_->generation(); }
  [[nodiscard]] std::uint64_t commit_id() const override { return table_->commit_id(); }
  [[nodiscard]] std::size_t num_rows() const override { return table_->num_rows(); }
  [[nodiscard]] int retrieval_dim() const override { return table_->retrieval_dim(); }
  [[nodiscard]] std::span<const float> retrieval_vectors() const override {
    return table_->retrieval_vectors();
  }
  [[nodiscard]] std::string_view id(std::size_t row) const override { return table_->id(row); }
  [[nodiscard]] std::optional<std::size_t> row_of(std::string_view id) const override {
    return table_->row_of(id);
  }
  [[nodiscard]] std::optional<double> popularity(std::size_t row) const override {
    return std::isnan(popularity_[row]) ? std::nullopt : std::optional(popularity_[row]);
  }
  [[nodiscard]] std::optional<Timestamp> posted_at(std::size_t row) const override {
    return table_->posted_at(row);
  }
  [[nodiscard]] Split split(std::size_t row) const override { return table_->split(row); }
  [[nodiscard]] HistoryView history(std::size_t row) const override { return table_->history(row); }
  [[nodiscard]] std::optional<Timestamp> label_known_at(std::size_t row) const override {
    return label(row).known_at;
  }
  [[nodiscard]] std::optional<double> popularity_as_of(std::size_t row,
                                                       Timestamp moment) const override {
    // Without a time of posting the horizon says nothing, and the label is the latest count.
    if (!posted_at(row)) return latest_before(history(row), moment);
    return BankTable::popularity_as_of(row, moment);
  }

 private:
  [[nodiscard]] Label label(std::size_t row) const {
    return label_of(history(row), posted_at(row), horizon_);
  }

  std::shared_ptr<const BankTable> table_;
  Duration horizon_;
  std::vector<double> popularity_;  ///< NaN: no label
};

}  // namespace

std::shared_ptr<const BankTable> with_horizon(std::shared_ptr<const BankTable> table,
                                              Duration horizon) {
  return std::make_shared<const HorizonTable>(std::move(table), horizon);
}

}  // namespace mmra::bank
