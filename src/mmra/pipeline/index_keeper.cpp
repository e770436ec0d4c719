#include "mmra/pipeline/index_keeper.h"

#include <exception>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/progress.h"
#include "mmra/core/threads.h"
#include "mmra/pipeline/bank_index.h"

namespace mmra::pipeline {
namespace {

// Those who ask have the other threads.
constexpr int kThreads = 1;
// To look at a bank of a million records takes a second: not after each commit. As many rows are
// enough for a segment of their own in most banks (retrieval/index/index_builder.cpp).
constexpr std::size_t kRowsBetween = 8192;
// What failed (on a full disk, say) is tried again after this.
constexpr std::chrono::minutes kBetweenFailures{1};

}  // namespace

IndexKeeper::IndexKeeper(const bank::MemoryBank& bank, std::filesystem::path bank_directory,
                         Options options)
    : bank_(bank),
      options_(std::move(options)),
      files_(std::move(bank_directory)),
      updater_([this](const std::stop_token& stop) {
        do_all(update_, stop, [&](const IndexPointer& index) { update(index, stop); });
      }),
      joiner_([this](const std::stop_token& stop) {
        lower_priority_of_this_thread();
        do_all(join_, stop, [&](const IndexPointer& index) { join(index, stop); });
      }) {}

IndexKeeper::~IndexKeeper() { finish(); }

void IndexKeeper::finish() {
  updater_.request_stop();
  joiner_.request_stop();
  if (updater_.joinable()) updater_.join();
  if (joiner_.joinable()) joiner_.join();
}

void IndexKeeper::look_at(const IndexPointer& index) {
  if (index == nullptr) return;
  if (retrieval::is_worth_updating(*index)) {
    want(update_, index);
  } else if (retrieval::is_worth_joining(*index, join_options(*index->table()))) {
    want(join_, index);
  }
}

void IndexKeeper::note(std::size_t num_rows) {
  {
    const std::scoped_lock lock(mutex_);
    num_new_ += num_rows;
    if (num_new_ < kRowsBetween) return;
  }
  want(update_, nullptr);
}

/// While it is under way already, an `index` is one that will be another soon.
void IndexKeeper::want(Work& work, const IndexPointer& index) {
  {
    const std::scoped_lock lock(mutex_);
    const bool is_about_the_old_one = work.is_under_way && index != nullptr;
    if (work.is_wanted || is_about_the_old_one || Clock::now() < work.not_before) return;
    work.is_wanted = true;
    work.index = index;
  }
  changed_.notify_all();
}

/// Nothing where it is to stop.
std::optional<IndexKeeper::IndexPointer> IndexKeeper::wait_for(Work& work,
                                                               const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait(lock, stop, [&] { return work.is_wanted; })) return std::nullopt;
  work.is_wanted = false;
  work.is_under_way = true;
  return std::exchange(work.index, nullptr);
}

void IndexKeeper::do_all(Work& work, const std::stop_token& stop,
                         const std::function<void(const IndexPointer&)>& task) {
  while (const auto index = wait_for(work, stop)) {
    bool has_failed = false;
    try {
      task(*index);
    } catch (const Interrupted&) {
      return;
    } catch (const std::exception& error) {
      has_failed = true;
      log(std::string("the index cannot be brought up to date, search goes on without: ") +
          error.what());
    }
    const std::scoped_lock lock(mutex_);
    work.is_under_way = false;
    if (!has_failed) continue;
    work.is_wanted = false;
    work.not_before = Clock::now() + kBetweenFailures;
  }
}

void IndexKeeper::update(const IndexPointer& index, const std::stop_token& stop) {
  {
    const std::scoped_lock lock(mutex_);
    num_new_ = 0;
  }
  if (!has_index(files_.bank())) return;
  SilentProgress silent;
  const auto table = bank_.table();  // saves its file
  const retrieval::IndexReport report =
      retrieval::update_index(files_, table, /*all=*/false,
                              retrieval::beside_searches(kThreads, stop), silent, index.get());
  if (report.num_made > 0) ++num_updates_;
  IndexPointer now = options_.ready ? open(table, index) : nullptr;
  tell(report, now, "up to date");
  if (retrieval::is_worth_joining(report, join_options(*table))) want(join_, now);
}

void IndexKeeper::join(const IndexPointer& index, const std::stop_token& stop) {
  SilentProgress silent;
  // Of whoever wants it: to make a new table at this priority would keep others waiting for it.
  IndexPointer now = open(index != nullptr ? index->table() : bank_.table(), index);
  while (now != nullptr) {
    const retrieval::IndexReport report =
        retrieval::join_segments(files_, *now, join_options(*now->table(), stop), silent);
    if (report.num_made == 0) return;
    ++num_joins_;
    now = open(now->table(), now);
    tell(report, now, "joined");
  }
}

IndexKeeper::IndexPointer IndexKeeper::open(std::shared_ptr<const bank::BankTable> table,
                                            const IndexPointer& read_already) const {
  return open_bank_index(files_.bank(), std::move(table), kThreads, read_already.get());
}

retrieval::IndexOptions IndexKeeper::join_options(const bank::BankTable& table,
                                                  std::stop_token stop) const {
  retrieval::IndexOptions options = retrieval::joining_beside_searches(
      static_cast<std::size_t>(table.retrieval_dim()), std::move(stop));
  options.least_rows_to_join = options_.least_rows_to_join;
  return options;
}

void IndexKeeper::tell(const retrieval::IndexReport& report, const IndexPointer& index,
                       const char* what) {
  if (options_.ready && index != nullptr) options_.ready(index);
  log(std::string("the index is ") + what + ": " + std::to_string(report.num_segments) +
      " segments, " + std::to_string(report.num_made) + " of them new");
}

void IndexKeeper::log(const std::string& line) const {
  if (options_.log) options_.log(line);
}

}  // namespace mmra::pipeline
