#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/core/progress.h"

namespace mmra::app {

/// Shows progress on standard error: a bar with rate and time left on a terminal, a plain line
/// every few seconds elsewhere, nothing when quiet.
class ConsoleProgress final : public ProgressSink {
 public:
  explicit ConsoleProgress(bool quiet);
  ~ConsoleProgress() override;

  void begin(std::string_view step, std::optional<std::int64_t> total) override;
  void advance(std::int64_t done) override;
  void end() override;
  void note(std::string_view line) override;

 private:
  using Clock = std::chrono::steady_clock;
  void show(bool final);
  void clear_bar();

  bool quiet_;
  bool on_terminal_;
  bool bar_is_shown_ = false;
  bool in_step_ = false;
  bool shown_once_ = false;
  std::string step_;
  std::optional<std::int64_t> total_;
  std::int64_t done_ = 0;
  Clock::time_point started_;
  Clock::time_point last_shown_;
};

/// A table for people: columns padded to their widest cell, numbers right-aligned. Widths count
/// characters of UTF-8, wide characters as two.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void add_row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  [[nodiscard]] std::string to_text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// printf's %.*f as a string.
[[nodiscard]] std::string fixed(double value, int decimals);
/// 1234567 → "1,234,567"; fractions only below ten.
[[nodiscard]] std::string readable_count(double value);
/// Cut to `max_width` characters with "…", control characters (terminal escapes) made visible.
[[nodiscard]] std::string one_line(std::string_view text, std::size_t max_width);
/// "3.2 s", "4 min 05 s".
[[nodiscard]] std::string readable_seconds(double seconds);

}  // namespace mmra::app
