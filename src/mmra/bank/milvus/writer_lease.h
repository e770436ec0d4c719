#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "mmra/bank/milvus/client.h"

namespace mmra::bank {

/// Held by the one writer of a bank on a server, as writer.lock is in a directory: a row of its own
/// in COLLECTION_values. Whoever wants to write first adds their row and then looks for others', so
/// of two at once at least one sees the other. A row counts until it runs out, or, where its
/// process was on this machine, until that has ended.
class WriterLease {
 public:
  /// Throws Error{kIo} that names the process and machine which hold it.
  WriterLease(MilvusClient& client, std::string values);
  WriterLease(const WriterLease&) = delete;
  WriterLease& operator=(const WriterLease&) = delete;
  ~WriterLease();

  /// Before each write: makes it last longer, and throws as the constructor does where it had run
  /// out and somebody else has it.
  void renew();

 private:
  void write_row();
  void require_alone();

  MilvusClient& client_;
  std::string values_;
  std::string key_;
  std::chrono::system_clock::time_point until_;
};

}  // namespace mmra::bank
