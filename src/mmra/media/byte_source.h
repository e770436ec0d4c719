#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace mmra::media {

/// Bytes that FFmpeg reads through us and through nothing else, so that what a file says can never
/// make it open another file or the network.
class ByteSource {
 public:
  ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  virtual ~ByteSource() = default;

  /// How the source is called in messages.
  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual std::int64_t size_bytes() const = 0;
  /// Fills `buffer` from `offset` on; returns the number of bytes (0: the end), or -errno.
  virtual std::int64_t read_at(std::int64_t offset, std::span<std::uint8_t> buffer) const = 0;
};

/// A regular file. Never waits for a FIFO or a device.
class FileSource final : public ByteSource {
 public:
  /// Throws Error: kNotFound, kIo (no permission), kInvalidInput (a directory, FIFO, device), and
  /// kCorruptData where the file is empty.
  explicit FileSource(const std::filesystem::path& path);
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;
  ~FileSource() override;

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] std::int64_t size_bytes() const override { return size_bytes_; }
  std::int64_t read_at(std::int64_t offset, std::span<std::uint8_t> buffer) const override;

 private:
  std::string name_;
  int descriptor_ = -1;
  std::int64_t size_bytes_ = 0;
};

/// Somebody else's bytes; they must outlive the source.
class MemorySource final : public ByteSource {
 public:
  /// Throws Error{kCorruptData} where there are none.
  explicit MemorySource(std::span<const std::byte> bytes);

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] std::int64_t size_bytes() const override {
    return static_cast<std::int64_t>(bytes_.size());
  }
  std::int64_t read_at(std::int64_t offset, std::span<std::uint8_t> buffer) const override;

 private:
  std::string name_ = "(bytes in memory)";
  std::span<const std::byte> bytes_;
};

}  // namespace mmra::media
