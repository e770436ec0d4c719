#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mmra {

/// Where long steps say how far they are. The library never prints: apps/ shows a bar on a terminal
/// and plain lines elsewhere, the server counts. Called from one thread at a time per step.
class ProgressSink {
 public:
  ProgressSink() = default;
  ProgressSink(const ProgressSink&) = delete;
  ProgressSink& operator=(const ProgressSink&) = delete;
  virtual ~ProgressSink() = default;

  /// A step begins; `total` items where it is known.
  virtual void begin(std::string_view step, std::optional<std::int64_t> total) = 0;
  virtual void advance(std::int64_t done) = 0;
  virtual void end() = 0;
  /// One line worth reading now (an epoch's result, a file that could not be read).
  virtual void note(std::string_view line) = 0;
};

/// Says nothing.
class SilentProgress final : public ProgressSink {
 public:
  void begin(std::string_view /*step*/, std::optional<std::int64_t> /*total*/) override {}
  void advance(std::int64_t /*done*/) override {}
  void end() override {}
  void note(std::string_view /*line*/) override {}
};

}  // namespace mmra
