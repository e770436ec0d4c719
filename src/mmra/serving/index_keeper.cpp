#include "mmra/serving/index_keeper.h"

#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/progress.h"
#include "mmra/pipeline/bank_index.h"

namespace mmra::serving {
namespace {

// Those who ask have the other threads.
constexpr int kThreads = 1;
// What failed (on a full disk, say) is tried again after this.
constexpr std::chrono::minutes kBetweenFailures{1};

}  // namespace

IndexKeeper::IndexKeeper(const bank::MemoryBank& bank, std::filesystem::path bank_directory,
                         std::function<void(IndexPointer)> ready,
                         std::function<void(const std::string&)> log)
    : bank_(bank),
      bank_directory_(std::move(bank_directory)),
      ready_(std::move(ready)),
      log_(std::move(log)),
      worker_(1, 1) {}

void IndexKeeper::look_at(const IndexPointer& index) {
  if (index == nullptr || !retrieval::is_worth_updating(*index)) return;
  if (is_at_work_.exchange(true)) return;
  const bool taken = worker_.try_submit([this, index] {
    update(index);
    is_at_work_ = false;
  });
  if (!taken) is_at_work_ = false;
}

void IndexKeeper::update(const IndexPointer& index) {
  if (std::chrono::steady_clock::now() < not_before_) return;
  SilentProgress silent;
  try {
    const retrieval::IndexReport report = pipeline::update_derived_files(
        bank_, bank_directory_, retrieval::beside_searches(kThreads, stop_.get_token()), silent,
        index.get());
    if (report.num_made > 0) ++num_updates_;
    ready_(pipeline::open_bank_index(bank_directory_, bank_.table(), kThreads, index.get()));
    log_("the index is up to date: " + std::to_string(report.num_segments) + " segments, " +
         std::to_string(report.num_made) + " of them new");
  } catch (const Interrupted&) {
    return;
  } catch (const std::exception& error) {
    not_before_ = std::chrono::steady_clock::now() + kBetweenFailures;
    log_(std::string("the index cannot be brought up to date, search goes on without: ") +
         error.what());
  }
}

void IndexKeeper::finish() {
  stop_.request_stop();
  worker_.finish();
}

}  // namespace mmra::serving
