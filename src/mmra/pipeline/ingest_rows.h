#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string_view>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/encoders/encoder_set.h"
#include "mmra/media/clip.h"
#include "mmra/pipeline/feature_file.h"
#include "mmra/pipeline/ingest_run.h"

namespace mmra::pipeline {

// What is done to a row between manifest and bank, one row or batch at a time.

/// A row whose fate is certain, before it is in the bank.
struct FinishedRow {
  IngestedRow row;
  bank::StoredRecord stored;  ///< where added or updated
};

/// A row between decoding and writing: done already, or with what the encoders still need.
struct DecodedRow {
  FinishedRow finished;
  bool needs_encoding = false;
  std::vector<media::Frame> frames;
  std::int64_t row_index = 0;

  [[nodiscard]] std::size_t num_frame_bytes() const;
};

/// Everything of a row that needs no other row: what the bank has of it, its frames. Thread-safe.
class RowDecoder {
 public:
  /// All must outlive it. `bank` is null where nothing is known of any row: on a rank that has no
  /// bank.
  RowDecoder(const encoders::EncoderTraits& traits, const bank::BankSchema& schema,
             const FeatureFiles& files, const bank::MemoryBank* bank, std::stop_token stop)
      : traits_(traits), schema_(schema), files_(files), bank_(bank), stop_(std::move(stop)) {}

  /// What cannot be taken in is a row that failed. Throws Interrupted when stopped.
  [[nodiscard]] DecodedRow decode(const IngestRow& work) const;
  /// Whether the bank has a record of this id.
  [[nodiscard]] bool knows(std::string_view id) const { return find(id).has_value(); }

 private:
  [[nodiscard]] DecodedRow decode_or_throw(const IngestRow& work) const;
  [[nodiscard]] std::optional<bank::Record> find(std::string_view id) const;
  void decode_video(const bank::ManifestRow& row, DecodedRow& decoded) const;

  const encoders::EncoderTraits& traits_;
  const bank::BankSchema& schema_;
  const FeatureFiles& files_;
  const bank::MemoryBank* bank_;
  std::stop_token stop_;
};

/// Fills the features of decoded rows, a batch at a time.
class BatchEncoder {
 public:
  /// All must outlive it.
  BatchEncoder(const encoders::EncoderSet& encoders, const FeatureFiles& files,
               encoders::EncodeOptions options)
      : encoders_(encoders), files_(files), options_(std::move(options)) {}

  [[nodiscard]] std::size_t batch_size() const {
    return static_cast<std::size_t>(encoders_.traits().batch_size);
  }
  /// Faults of the models themselves, which are no row's.
  void load() const { encoders_.load(); }
  /// What cannot be encoded is a row that failed.
  void encode(std::span<DecodedRow> rows) const;

 private:
  void encode_or_throw(std::span<DecodedRow> rows) const;

  const encoders::EncoderSet& encoders_;
  const FeatureFiles& files_;
  encoders::EncodeOptions options_;
};

}  // namespace mmra::pipeline
