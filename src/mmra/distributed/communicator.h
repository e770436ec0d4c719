#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mmra::distributed {

/// What another process of the run sent.
struct Message {
  int from = 0;
  std::string bytes;
};

/// The processes (ranks 0 … size - 1) that work on one command together. Collective calls (all but
/// send and try_receive) are made by all ranks in the same order. send and try_receive may be
/// called by several threads at once, but not beside a collective call. What cannot be done is
/// Error{kIo}: a rank that is gone ends the run, nothing is repaired.
class Communicator {
 public:
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// Replaces each element by its sum over all ranks, which give as many; all get the same bits.
  virtual void all_reduce_sum(std::span<double> values) = 0;
  /// Gives rank `root`'s bytes, of any number, to all.
  virtual void broadcast(std::string& bytes, int root) = 0;
  /// Returns when `bytes` may be changed; messages from one rank to another keep their order.
  virtual void send(int to, std::string_view bytes) = 0;
  /// A message that has come, without waiting.
  [[nodiscard]] virtual std::optional<Message> try_receive() = 0;
  virtual void barrier() = 0;
  /// Ends all ranks at once, this one too; nothing is cleaned up.
  [[noreturn]] virtual void abort(int status) noexcept = 0;

  [[nodiscard]] bool is_first() const { return rank() == 0; }
};

/// One process alone.
[[nodiscard]] std::unique_ptr<Communicator> make_single_communicator();

/// Whether this process shares its work with no other; null: nobody was asked to.
[[nodiscard]] inline bool is_alone(const Communicator* ranks) {
  return ranks == nullptr || ranks->size() == 1;
}

/// Whether this process is the one that writes: alone, or rank 0.
[[nodiscard]] inline bool is_first(const Communicator* ranks) {
  return ranks == nullptr || ranks->is_first();
}

/// Whether `value` is true on any rank.
[[nodiscard]] bool any_of(Communicator& communicator, bool value);

/// Items [begin, begin + count) of a whole.
struct Share {
  std::size_t begin = 0;
  std::size_t count = 0;
};
/// The part of `total` items that is `rank`'s: in the order of ranks, and of lengths that differ by
/// one at most.
[[nodiscard]] Share share_of(std::size_t total, int rank, int size);

}  // namespace mmra::distributed
