#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/core/files.h"
#include "mmra/core/progress.h"
#include "mmra/media/clip_writer.h"
#include "mmra/pipeline/ingest.h"

namespace mmra::pipeline::testing {

/// Keeps the notes, and calls `after_advance` with the rows done so far.
class WatchedProgress final : public ProgressSink {
 public:
  explicit WatchedProgress(std::function<void(std::int64_t)> after_advance = {})
      : after_advance_(std::move(after_advance)) {}
  void begin(std::string_view step, std::optional<std::int64_t> /*total*/) override {
    steps.emplace_back(step);
    done_ = 0;
  }
  void advance(std::int64_t done) override {
    done_ += done;
    if (after_advance_) after_advance_(done_);
  }
  void end() override {}
  void note(std::string_view line) override { notes.emplace_back(line); }

  std::vector<std::string> steps;
  std::vector<std::string> notes;

 private:
  std::function<void(std::int64_t)> after_advance_;
  std::int64_t done_ = 0;
};

/// A dozen frames of one colour that a bright bar crosses: `shade` decides what it looks like.
inline void write_clip(const std::filesystem::path& file, int shade, int num_frames = 12) {
  media::ClipWriter writer(file, {});
  for (int i = 0; i < num_frames; ++i) {
    media::Frame frame;
    frame.width = 64;
    frame.height = 48;
    frame.rgb.assign(64 * 48 * 3, static_cast<std::uint8_t>(shade));
    for (std::size_t y = 0; y < 48; ++y) {
      const std::size_t at = (y * 64 + static_cast<std::size_t>(i * 4 % 60)) * 3;
      for (std::size_t x = 0; x < 12; ++x) frame.rgb[at + x] = 255;
    }
    writer.add(frame);
  }
  writer.finish();
}

/// Writes `manifest` beside the bank and ingests it.
inline IngestReport ingest_text(const std::filesystem::path& directory, const std::string& manifest,
                                IngestOptions options = {}) {
  write_file_atomically(directory / "m.csv", manifest);
  options.bank_directory = directory / "bank";
  SilentProgress silent;
  return ingest(directory / "m.csv", options, silent);
}

inline std::unique_ptr<bank::MemoryBank> open_made_bank(const std::filesystem::path& directory) {
  return bank::open_bank(directory / "bank", bank::OpenMode::kReadOnly);
}

}  // namespace mmra::pipeline::testing
