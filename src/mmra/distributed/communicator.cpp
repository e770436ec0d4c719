#include "mmra/distributed/communicator.h"

#include <algorithm>
#include <cstdlib>

#include "mmra/core/error.h"

namespace mmra::distributed {
namespace {

class SingleCommunicator final : public Communicator {
 public:
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int size() const override { return 1; }
  void all_reduce_sum(std::span<double> /*values*/) override {}
  void broadcast(std::string& /*bytes*/, int /*root*/) override {}
  void send(int /*to*/, std::string_view /*bytes*/) override {
    throw Error(ErrorKind::kInternal, "a process alone was told to send to another");
  }
  [[nodiscard]] std::optional<Message> try_receive() override { return std::nullopt; }
  void barrier() override {}
  [[noreturn]] void abort(int status) noexcept override { std::_Exit(status); }
};

}  // namespace

std::unique_ptr<Communicator> make_single_communicator() {
  return std::make_unique<SingleCommunicator>();
}

bool any_of(Communicator& communicator, bool value) {
  if (communicator.size() == 1) return value;
  double count = value ? 1.0 : 0.0;
  communicator.all_reduce_sum(std::span(&count, 1));
  return count > 0.0;
}

Share share_of(std::size_t total, int rank, int size) {
  const auto ranks = static_cast<std::size_t>(size);
  const auto own = static_cast<std::size_t>(rank);
  const std::size_t least = total / ranks;
  const std::size_t longer = total % ranks;  // so many ranks have one more
  return {own * least + std::min(own, longer), least + (own < longer ? 1 : 0)};
}

}  // namespace mmra::distributed
