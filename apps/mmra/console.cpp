#include "console.h"

#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace mmra::app {
namespace {

constexpr auto kBarInterval = std::chrono::milliseconds(100);
constexpr auto kLineInterval = std::chrono::seconds(5);

/// Calls visit(code point, bytes) over UTF-8; broken bytes come one by one as U+FFFD.
template <typename Visit>
void for_each_character(std::string_view text, Visit visit) {
  while (!text.empty()) {
    utf8proc_int32_t code = 0;
    const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                         static_cast<utf8proc_ssize_t>(text.size()), &code);
    const std::size_t used = length > 0 ? static_cast<std::size_t>(length) : 1;
    if (length <= 0) code = 0xFFFD;
    visit(code, length > 0 ? text.substr(0, used) : std::string_view("\xEF\xBF\xBD"));
    text.remove_prefix(used);
  }
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for_each_character(text, [&](utf8proc_int32_t code, std::string_view) {
    width += static_cast<std::size_t>(std::max(0, utf8proc_charwidth(code)));
  });
  return width;
}

bool looks_like_a_number(const std::string& cell) {
  return !cell.empty() && cell.find_first_not_of("0123456789.,-+%±×en/a –") == std::string::npos;
}

}  // namespace

std::string fixed(double value, int decimals) {
  if (std::isnan(value)) return "n/a";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

std::string readable_count(double value) {
  if (!std::isfinite(value)) return value > 0 ? "unbounded" : "n/a";
  std::string digits = fixed(value, value < 10.0 && value != std::floor(value) ? 1 : 0);
  const std::size_t point = std::min(digits.find('.'), digits.size());
  for (std::size_t at = point; at > 3 && digits[at - 4] != '-';) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string one_line(std::string_view text, std::size_t max_width) {
  std::string line;
  std::size_t width = 0;
  bool cut = false;
  for_each_character(text, [&](utf8proc_int32_t code, std::string_view bytes) {
    if (cut) return;
    const bool control = code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 ||
                         code == 0x2029 || (code >= 0x202A && code <= 0x202E) ||
                         (code >= 0x2066 && code <= 0x2069);
    const std::size_t next =
        control ? 1 : static_cast<std::size_t>(std::max(0, utf8proc_charwidth(code)));
    if (width + next > max_width) {
      cut = true;
      return;
    }
    line += control ? std::string_view(" ") : bytes;
    width += next;
  });
  if (cut) {
    while (!line.empty() && display_width(line) + 1 > max_width) {
      do {
        line.pop_back();
      } while (!line.empty() && (static_cast<unsigned char>(line.back()) & 0xC0U) == 0x80U);
    }
    line += "…";
  }
  return line;
}

std::string readable_seconds(double seconds) {
  if (seconds < 60.0) return fixed(seconds, 1) + " s";
  const auto whole = static_cast<long long>(std::llround(seconds));
  char text[64];
  if (whole < 3600) {
    std::snprintf(text, sizeof text, "%lld min %02lld s", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld h %02lld min", whole / 3600, whole / 60 % 60);
  }
  return text;
}

std::string Table::to_text() const {
  std::vector<std::size_t> widths;
  std::vector<bool> numeric;
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    for (std::size_t c = 0; c < rows_[r].size(); ++c) {
      if (c == widths.size()) {
        widths.push_back(0);
        numeric.push_back(true);
      }
      widths[c] = std::max(widths[c], display_width(rows_[r][c]));
      if (r > 0 && !rows_[r][c].empty())
        numeric[c] = numeric[c] && looks_like_a_number(rows_[r][c]);
    }
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - display_width(row[c]), ' ');
      if (c > 0) line += "  ";
      line += numeric[c] ? padding + row[c] : row[c] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

ConsoleProgress::ConsoleProgress(bool quiet)
    : quiet_(quiet), on_terminal_(::isatty(STDERR_FILENO) == 1) {}

ConsoleProgress::~ConsoleProgress() { clear_bar(); }

void ConsoleProgress::begin(std::string_view step, std::optional<std::int64_t> total) {
  step_ = step;
  total_ = total;
  done_ = 0;
  in_step_ = true;
  shown_once_ = false;
  started_ = Clock::now();
  last_shown_ = started_;
}

void ConsoleProgress::advance(std::int64_t done) {
  done_ += done;
  if (Clock::now() - last_shown_ >=
      (on_terminal_ ? Clock::duration(kBarInterval) : Clock::duration(kLineInterval))) {
    show(false);
  }
}

void ConsoleProgress::end() {
  if (in_step_ && done_ > 0) show(true);
  in_step_ = false;
  clear_bar();
}

void ConsoleProgress::note(std::string_view line) {
  if (quiet_) return;
  clear_bar();
  std::fprintf(stderr, "%s\n", one_line(line, 400).c_str());
}

void ConsoleProgress::clear_bar() {
  if (bar_is_shown_) std::fputs("\r\x1b[K", stderr);
  bar_is_shown_ = false;
}

void ConsoleProgress::show(bool final) {
  if (quiet_) return;
  last_shown_ = Clock::now();
  const double seconds = std::chrono::duration<double>(last_shown_ - started_).count();
  // A step that was over before anybody could wonder is not worth a line in a log.
  if (final && !on_terminal_ && !shown_once_ && seconds < 2.0) return;
  if (final && on_terminal_) return;
  shown_once_ = true;
  const double rate = seconds > 0.0 ? static_cast<double>(done_) / seconds : 0.0;
  std::string text = step_ + " " + std::to_string(done_);
  if (total_ && *total_ > 0) {
    const double share = static_cast<double>(done_) / static_cast<double>(*total_);
    text += "/" + std::to_string(*total_);
    if (on_terminal_) {
      const auto filled = static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * 24.0);
      std::string bar;
      for (std::size_t i = 0; i < 24; ++i) bar += i < filled ? "█" : "░";
      text = step_ + " " + bar + " " + std::to_string(done_) + "/" + std::to_string(*total_);
    }
    if (!final && rate > 0.0) {
      text += ", " + readable_seconds(static_cast<double>(*total_ - done_) / rate) + " left";
    }
  }
  text += ", " + fixed(rate, rate < 10.0 ? 1 : 0) + "/s";
  if (final) text += ", done in " + readable_seconds(seconds);
  if (on_terminal_) {
    std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
    std::fflush(stderr);
    bar_is_shown_ = true;
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
}

}  // namespace mmra::app
