// libmmra_mpi.so (mpi_abi.h): the only source that includes MPI.
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

#include "mmra/core/error.h"
#include "mmra/distributed/communicator.h"
#include "mmra/distributed/mpi_abi.h"

namespace mmra::distributed {
namespace {

constexpr int kTag = 1;
/// Counts of MPI are ints.
constexpr std::size_t kLargestCall = std::size_t{1} << 30;
constexpr auto kShortestWait = std::chrono::microseconds(20);
constexpr auto kLongestWait = std::chrono::microseconds(500);

void check(int status, const char* what) {
  if (status == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(status, text, &length);
  throw Error(ErrorKind::kIo, std::string("MPI cannot ") + what + " (" + text +
                                  "): another process of the run, or the network, is gone");
}

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator() {
    int provided = MPI_THREAD_SINGLE;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "start");
    if (provided < MPI_THREAD_SERIALIZED) {
      throw Error(ErrorKind::kUnsupported,
                  "this MPI was built without threads (MPI_THREAD_SERIALIZED); use one with them");
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  ~MpiCommunicator() override { MPI_Finalize(); }

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }

  void all_reduce_sum(std::span<double> values) override {
    for (std::size_t begin = 0; begin < values.size(); begin += kLargestCall) {
      const std::size_t count = std::min(kLargestCall, values.size() - begin);
      check(MPI_Allreduce(MPI_IN_PLACE, values.data() + begin, static_cast<int>(count), MPI_DOUBLE,
                          MPI_SUM, MPI_COMM_WORLD),
            "add up over the ranks");
    }
  }

  void broadcast(std::string& bytes, int root) override {
    std::uint64_t size = bytes.size();
    check(MPI_Bcast(&size, 1, MPI_UINT64_T, root, MPI_COMM_WORLD), "send to all");
    bytes.resize(size);
    for (std::size_t begin = 0; begin < size; begin += kLargestCall) {
      const std::size_t count = std::min<std::size_t>(kLargestCall, size - begin);
      check(
          MPI_Bcast(bytes.data() + begin, static_cast<int>(count), MPI_BYTE, root, MPI_COMM_WORLD),
          "send to all");
    }
  }

  // Neither waits inside MPI: the other thread of this rank could not receive meanwhile, and two
  // ranks that send to each other would wait for ever.
  void send(int to, std::string_view bytes) override {
    if (bytes.size() > INT_MAX) {
      throw Error(ErrorKind::kUnsupported, "a message of " + std::to_string(bytes.size()) +
                                               " bytes is more than MPI sends at once");
    }
    MPI_Request request = MPI_REQUEST_NULL;
    {
      const std::scoped_lock lock(mutex_);
      check(MPI_Isend(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, to, kTag,
                      MPI_COMM_WORLD, &request),
            "send");
    }
    for (auto wait = std::chrono::microseconds(0);;
         wait = std::min(2 * wait + kShortestWait, +kLongestWait)) {
      int done = 0;
      {
        const std::scoped_lock lock(mutex_);
        check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "send");
      }
      if (done != 0) return;
      std::this_thread::sleep_for(wait);
    }
  }

  [[nodiscard]] std::optional<Message> try_receive() override {
    const std::scoped_lock lock(mutex_);
    int there = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    check(MPI_Improbe(MPI_ANY_SOURCE, kTag, MPI_COMM_WORLD, &there, &message, &status), "receive");
    if (there == 0) return std::nullopt;
    int count = 0;
    check(MPI_Get_count(&status, MPI_BYTE, &count), "receive");
    Message received{status.MPI_SOURCE, std::string(static_cast<std::size_t>(count), '\0')};
    check(MPI_Mrecv(received.bytes.data(), count, MPI_BYTE, &message, &status), "receive");
    return received;
  }

  void barrier() override { check(MPI_Barrier(MPI_COMM_WORLD), "wait for the other ranks"); }

  [[noreturn]] void abort(int status) noexcept override {
    MPI_Abort(MPI_COMM_WORLD, status);
    std::_Exit(status);
  }

 private:
  int rank_ = 0;
  int size_ = 1;
  std::mutex mutex_;
};

}  // namespace
}  // namespace mmra::distributed

extern "C" const char* mmra_mpi_abi() {
  static const std::string kText = mmra::distributed::mpi_abi();
  return kText.c_str();
}

extern "C" mmra::distributed::Communicator* mmra_mpi_open() {
  return new mmra::distributed::MpiCommunicator;
}
