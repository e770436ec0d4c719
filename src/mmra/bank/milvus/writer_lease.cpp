#include "mmra/bank/milvus/writer_lease.h"

#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <sstream>
#include <utility>

#include "mmra/bank/milvus/stored_row.h"
#include "mmra/bank/text_checks.h"
#include "mmra/core/environment.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::system_clock;

/// Longer than anybody encodes between two writes.
constexpr std::chrono::minutes kLasts{10};
constexpr std::chrono::seconds kRenewedAfter{30};
constexpr int kMaxHolders = 100;

/// When a process began, in the kernel's ticks since boot: the second part of its identity, since
/// numbers of processes are used again. 0: there is no such process, or it has ended and is a
/// zombie (a container whose first process waits for nobody keeps them for ever).
std::int64_t start_of(std::int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::size_t after_name = text.rfind(')');
  if (after_name == std::string::npos) return 0;
  std::istringstream fields(text.substr(after_name + 1));
  std::string field;
  fields >> field;
  if (field == "Z" || field == "X") return 0;
  constexpr int kFieldsFromStateToStart = 19;
  for (int i = 0; i < kFieldsFromStateToStart; ++i) fields >> field;
  return std::strtoll(field.c_str(), nullptr, 10);
}

std::int64_t in_ms(Clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

/// What a row says of its writer; empty where it cannot be read, which is as good as run out.
struct Holder {
  std::string host;
  std::int64_t pid = 0;
  std::int64_t start = 0;
  std::int64_t until_ms = 0;

  static std::optional<Holder> parse(const Bytes& text) {
    const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return std::nullopt;
    try {
      return Holder{json.at("host").get<std::string>(), json.at("pid").get<std::int64_t>(),
                    json.at("start").get<std::int64_t>(), json.at("until_ms").get<std::int64_t>()};
    } catch (const Json::exception&) {
      return std::nullopt;
    }
  }
  [[nodiscard]] bool is_alive() const {
    if (until_ms <= in_ms(Clock::now())) return false;
    return host != host_name() || start_of(pid) == start;
  }
};

}  // namespace

WriterLease::WriterLease(MilvusClient& client, std::string values)
    : client_(client), values_(std::move(values)) {
  std::random_device device;
  key_ = "W" + std::to_string(device()) + "." + std::to_string(device());
  write_row();
  require_alone();
}

WriterLease::~WriterLease() {
  try {
    client_.erase(values_, milvus_any_of("key", std::span(&key_, 1)));
  } catch (const std::exception&) {  // then it runs out, or this process ends
    static_cast<void>(0);
  }
}

void WriterLease::renew() {
  const auto now = Clock::now();
  if (until_ - now > kLasts - kRenewedAfter) return;
  const bool had_run_out = until_ <= now;
  write_row();
  if (had_run_out) require_alone();
}

void WriterLease::write_row() {
  until_ = Clock::now() + kLasts;
  const std::string text = Json{
      {"host", host_name()},
      {"pid", ::getpid()},
      {"start", start_of(::getpid())},
      {"until_ms",
       in_ms(until_)}}.dump(-1, ' ', false, Json::error_handler_t::replace);
  client_.upsert(values_, Json::array({named_row(key_, text)}));
}

void WriterLease::require_alone() {
  const MilvusRows rows = client_.query(values_, R"(key >= "W" and key < "X")", {"key", "value"},
                                        kMaxHolders, MilvusMoment::latest());
  std::vector<std::string> gone;
  for (std::size_t i = 0; i < rows.num_rows(); ++i) {
    const std::string& key = rows.texts("key")[i];
    if (key == key_) continue;
    const auto holder = Holder::parse(decode_piece(key, rows.texts("value")[i]));
    if (!holder || !holder->is_alive()) {
      gone.push_back(key);
      continue;
    }
    client_.erase(values_, milvus_any_of("key", std::span(&key_, 1)));
    throw Error(ErrorKind::kIo, "the memory bank " + client_.address().text() +
                                    " is being written by process " + std::to_string(holder->pid) +
                                    " on " + in_quotes(holder->host) +
                                    "; wait until it is done, or stop it");
  }
  if (!gone.empty()) client_.erase(values_, milvus_any_of("key", gone));
}

}  // namespace mmra::bank
