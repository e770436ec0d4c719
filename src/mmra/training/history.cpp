#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/evaluation/plot.h"
#include "mmra/training/trainer.h"

namespace mmra::training {
namespace {

// The picture's layout, in pixels.
constexpr double kWidth = 720;
constexpr double kPanelHeight = 200;
constexpr double kLeft = 70;
constexpr double kRight = 30;
constexpr double kTop = 44;
constexpr double kGap = 64;
constexpr double kHeight = 2 * kPanelHeight + kTop + kGap + 50;

std::string number(double value, const char* format = "%.6g") {
  if (std::isnan(value)) return "nan";  // printf would add the sign that a NaN happens to have
  char text[352];                       // the largest double with three decimals has 313
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string text_at(double x, double y, const std::string& text, const std::string& attributes) {
  return std::string("<text x=\"") + number(x) + "\" y=\"" + number(y) + "\" " + attributes + ">" +
         evaluation::escape_html(text) + "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, const std::string& colour) {
  return std::string("<line x1=\"") + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" +
         number(x2) + "\" y2=\"" + number(y2) + "\" stroke=\"" + colour + "\"/>\n";
}

struct Range {
  double low = 0.0;
  double high = 1.0;
};

Range range_of(const std::vector<double>& values) {
  Range range{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  if (range.low > range.high) return {};
  const double margin =
      std::max(0.05 * (range.high - range.low), 1e-3 + 1e-3 * std::abs(range.low));
  return {range.low - margin, range.high + margin};
}

/// One curve over the epochs with its axes.
struct Panel {
  std::string title;
  std::string colour;
  std::vector<double> values;  ///< [epochs]
  double top = 0.0;
  int best_epoch = 0;  ///< marked where it is not 0

  [[nodiscard]] double x(int epoch) const {
    const auto last = static_cast<double>(std::max<std::size_t>(values.size(), 2));
    return kLeft + (kWidth - kLeft - kRight) * (epoch - 1) / (last - 1);
  }
  [[nodiscard]] double y(double value, const Range& range) const {
    return top + kPanelHeight * (range.high - value) / (range.high - range.low);
  }
  [[nodiscard]] std::string draw() const;

 private:
  [[nodiscard]] std::string draw_axes(const Range& range) const;
  [[nodiscard]] std::string draw_curve(const Range& range) const;
};

std::string Panel::draw_axes(const Range& range) const {
  std::string svg;
  const double bottom = top + kPanelHeight;
  const double step = evaluation::nice_step(range.high - range.low, 5);
  for (double tick = std::ceil(range.low / step) * step; tick <= range.high; tick += step) {
    svg += line(kLeft, y(tick, range), kWidth - kRight, y(tick, range), "#e4e4e4");
    svg += text_at(kLeft - 8, y(tick, range) + 4,
                   number(std::abs(tick) < step / 2 ? 0.0 : tick, "%.4g"), "text-anchor=\"end\"");
  }
  const auto last = static_cast<int>(values.size());
  const int epoch_step = std::max(1, static_cast<int>(evaluation::nice_step(std::max(1, last), 8)));
  for (int epoch = 1; epoch <= last;
       epoch = epoch == 1 && epoch_step > 1 ? epoch_step : epoch + epoch_step) {
    svg += line(x(epoch), bottom, x(epoch), bottom + 5, "#444");
    svg += text_at(x(epoch), bottom + 19, std::to_string(epoch), "text-anchor=\"middle\"");
  }
  svg += line(kLeft, bottom, kWidth - kRight, bottom, "#444");
  svg += line(kLeft, top, kLeft, bottom, "#444");
  svg += text_at(kWidth - kRight, bottom + 34, "epoch", "text-anchor=\"end\"");
  return svg;
}

std::string Panel::draw_curve(const Range& range) const {
  std::string points;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) continue;
    points += number(x(static_cast<int>(i) + 1)) + "," + number(y(values[i], range)) + " ";
  }
  return std::string("<polyline fill=\"none\" stroke=\"") + colour +
         "\" stroke-width=\"2\" points=\"" + points + "\"/>\n";
}

std::string Panel::draw() const {
  const Range range = range_of(values);
  std::string svg = draw_axes(range) + draw_curve(range);
  // The legend: a piece of the curve and what it is.
  svg += std::string("<rect x=\"") + number(kLeft) + "\" y=\"" + number(top - 20) +
         "\" width=\"18\" height=\"4\" fill=\"" + colour + "\"/>\n";
  svg += text_at(kLeft + 26, top - 13, title, "");
  if (best_epoch > 0) {
    const double best = values[static_cast<std::size_t>(best_epoch) - 1];
    if (std::isfinite(best)) {
      svg += std::string("<circle r=\"5\" fill=\"") + colour + "\" cx=\"" + number(x(best_epoch)) +
             "\" cy=\"" + number(y(best, range)) + "\"/>\n";
    }
    const std::string value = std::isfinite(best) ? ", " + number(best, "%.4f") : "";
    svg += text_at(kWidth - kRight, top - 13, "best: epoch " + std::to_string(best_epoch) + value,
                   "text-anchor=\"end\"");
  }
  return svg;
}

std::string to_svg(const TrainingHistory& history) {
  Panel loss{"training loss (mean squared error, log2 popularity)", "#2563a8", {}, kTop, 0};
  Panel nmse{"validation nMSE", "#b4441a", {}, kTop + kPanelHeight + kGap, history.best_epoch};
  for (const EpochRecord& record : history.epochs) {
    loss.values.push_back(record.train_loss);
    nmse.values.push_back(record.stop_nmse);
  }
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(kWidth) + " " +
         number(kHeight) +
         "\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\" role=\"img\">\n"
         "<title>Training history</title>\n"
         "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n" +
         loss.draw() + nmse.draw() + "</svg>\n";
}

constexpr std::string_view kCsvHeader = "epoch,train_loss,stop_nmse,stop_mae,stop_src,seconds,best";

/// Takes the number at the front of `rest`, and `end` behind it.
template <typename Number>
bool take_number(std::string_view& rest, char end, Number& out) {
  const auto [behind, code] = std::from_chars(rest.data(), rest.data() + rest.size(), out);
  const auto size = static_cast<std::size_t>(behind - rest.data());
  if (code != std::errc() || size == rest.size() || rest[size] != end) return false;
  rest.remove_prefix(size + 1);
  return true;
}

/// Takes a line, which must end as such.
bool take_epoch(std::string_view& rest, EpochRecord& record, int& is_best) {
  return take_number(rest, ',', record.epoch) && take_number(rest, ',', record.train_loss) &&
         take_number(rest, ',', record.stop_nmse) && take_number(rest, ',', record.stop_mae) &&
         take_number(rest, ',', record.stop_src) && take_number(rest, ',', record.seconds) &&
         take_number(rest, '\n', is_best) && (is_best == 0 || is_best == 1);
}

}  // namespace

bool is_whole(const TrainingHistory& history) {
  const auto num_epochs = static_cast<int>(history.epochs.size());
  for (int i = 0; i < num_epochs; ++i) {
    if (history.epochs[static_cast<std::size_t>(i)].epoch != i + 1) return false;
  }
  return num_epochs > 0 && history.best_epoch >= 1 && history.best_epoch <= num_epochs;
}

std::string history_to_csv(const TrainingHistory& history) {
  std::string csv = std::string(kCsvHeader) + "\n";
  for (const EpochRecord& record : history.epochs) {
    csv += std::to_string(record.epoch);
    for (const double value :
         {record.train_loss, record.stop_nmse, record.stop_mae, record.stop_src}) {
      csv += ',';
      csv += number(value, "%.9g");
    }
    csv += ',';
    csv += number(record.seconds, "%.3f") + (record.epoch == history.best_epoch ? ",1\n" : ",0\n");
  }
  return csv;
}

TrainingHistory history_from_csv(std::string_view text, const std::string& origin) {
  constexpr const char* kAdvice = "; train the model again";
  if (!text.starts_with(kCsvHeader) || text.substr(kCsvHeader.size(), 1) != "\n") {
    throw Error(ErrorKind::kCorruptData, origin + " does not begin with the line \"" +
                                             std::string(kCsvHeader) + "\"" + kAdvice);
  }
  text.remove_prefix(kCsvHeader.size() + 1);
  TrainingHistory history;
  while (!text.empty()) {
    EpochRecord record;
    int is_best = 0;
    if (!take_epoch(text, record, is_best) || (is_best == 1 && history.best_epoch != 0)) {
      throw Error(ErrorKind::kCorruptData,
                  origin + " is damaged at line " + std::to_string(history.epochs.size() + 2) +
                      ": it is not an epoch's seven numbers, or a second best epoch" + kAdvice);
    }
    if (is_best == 1) history.best_epoch = record.epoch;
    history.epochs.push_back(record);
  }
  if (!is_whole(history)) {
    throw Error(ErrorKind::kCorruptData,
                origin + " has epochs that are not 1, 2, 3 and so on, or no best one" + kAdvice);
  }
  return history;
}

void write_history(const TrainingHistory& history, const std::filesystem::path& directory) {
  make_directories(directory);
  write_file_atomically(directory / "history.csv", history_to_csv(history));
  write_file_atomically(directory / "history.svg", to_svg(history));
}

}  // namespace mmra::training
