#include "mmra/pipeline/index_updater.h"

#include <exception>
#include <utility>

#include "mmra/core/progress.h"
#include "mmra/pipeline/bank_index.h"

namespace mmra::pipeline {
namespace {

// To look at a bank of a million records takes a second: not after each commit. As many rows are
// enough for a segment of their own in most banks (retrieval/index/index_builder.cpp).
constexpr std::size_t kRowsBetween = 8192;

}  // namespace

IndexUpdater::IndexUpdater(const bank::MemoryBank& bank, std::filesystem::path bank_directory,
                           int num_threads)
    : bank_(bank),
      bank_directory_(std::move(bank_directory)),
      num_threads_(num_threads),
      worker_([this](const std::stop_token& stop) { work(stop); }) {}

IndexUpdater::~IndexUpdater() {
  worker_.request_stop();
  changed_.notify_all();
}

void IndexUpdater::note(std::size_t num_rows) {
  {
    const std::scoped_lock lock(mutex_);
    num_new_ += num_rows;
  }
  changed_.notify_all();
}

void IndexUpdater::work(const std::stop_token& stop) {
  SilentProgress silent;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [&] { return num_new_ >= kRowsBetween; })) return;
      num_new_ = 0;
    }
    try {
      if (!has_index(bank_directory_)) continue;
      update_derived_files(bank_, bank_directory_, retrieval::beside_searches(num_threads_, stop),
                           silent);
    } catch (const std::exception&) {  // Interrupted too: the loop then ends
      continue;
    }
  }
}

}  // namespace mmra::pipeline
