#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/bank/record.h"

namespace mmra::testing {

/// Small: 2 visual, 3 text and 4 retrieval dimensions; `followers` (number), `creator` (category).
[[nodiscard]] bank::BankSchema small_schema();

/// A record that fits small_schema() and that has something in every field, all made from `id`.
[[nodiscard]] bank::StoredRecord made_record(const std::string& id);

[[nodiscard]] std::vector<std::string> ids_of(const bank::MemoryBank& bank);
void put(bank::MemoryBank& bank, const bank::StoredRecord& stored);

/// Midnights since 1970.
[[nodiscard]] Timestamp day(int days);
/// made_record() posted on day 0, labelled 1.
[[nodiscard]] bank::StoredRecord made_counted_record(const std::string& id);
/// A new bank of this horizon with the counted records a, b and c.
[[nodiscard]] std::unique_ptr<bank::MemoryBank> make_counted_bank(
    const std::filesystem::path& place, const std::string& horizon);

/// Random numbers of every kind a test needs; the same for the same seed.
class RandomValues {
 public:
  explicit RandomValues(std::uint64_t seed) : engine_(seed) {}

  /// 0 to `limit` - 1.
  [[nodiscard]] std::size_t below(std::size_t limit) { return engine_() % limit; }
  [[nodiscard]] bool one_in(std::size_t n) { return below(n) == 0; }
  /// UTF-8 of up to `max_characters`, among them quotes, commas, line breaks, tabs, blanks at the
  /// ends and characters of 2 to 4 bytes; never a zero byte.
  [[nodiscard]] std::string text(std::size_t max_characters);
  /// Any finite double, often one that is awkward to write.
  [[nodiscard]] double number();
  /// A record with random contents in every field, context included; its id holds no control
  /// characters.
  [[nodiscard]] bank::Record record();
  /// Features of random shapes, any bits in the tokens.
  [[nodiscard]] bank::Features features();

 private:
  std::mt19937_64 engine_;
};

/// Compare every field, and say which differs. Numbers are compared bit by bit.
void expect_same(const bank::Record& actual, const bank::Record& expected);
void expect_same(const bank::Features& actual, const bank::Features& expected);
[[nodiscard]] bool same(const bank::Record& a, const bank::Record& b);
[[nodiscard]] bool same(const bank::Features& a, const bank::Features& b);

}  // namespace mmra::testing
