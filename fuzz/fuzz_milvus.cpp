// Answers of a Milvus server, the fields of a row and the head of a bank, of any bytes.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "mmra/bank/milvus/bank_head.h"
#include "mmra/bank/milvus/client.h"
#include "mmra/bank/milvus/stored_row.h"
#include "outcome.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using mmra::fuzz::outcome_of;
  using mmra::fuzz::require;
  const std::string text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(outcome_of([&] {
    const auto names = mmra::bank::parse_value_names(text, "id");
    require(mmra::bank::parse_value_names(mmra::bank::to_text(names), "id") == names,
            "names that are not read as they are written");
    return std::string();
  }));
  static_cast<void>(outcome_of([&] { return mmra::bank::decode_piece("key", text); }));
  static_cast<void>(outcome_of([&] {
    const auto head = mmra::bank::parse_head(text, "the bank");
    const auto again = mmra::bank::parse_head(mmra::bank::to_json_text(head), "the bank");
    require(again.is_writing == head.is_writing && again.is_settled == head.is_settled &&
                again.state.same_counts(head.state),
            "a head that is not read as it is written");
    return std::string();
  }));
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return 0;
  static_cast<void>(outcome_of([&] {
    for (const auto& row :
         mmra::bank::parse_rows(mmra::bank::parse_milvus_rows(json, "the server"))) {
      require(row.find('R') != nullptr && row.find('F') != nullptr, "a row without a record");
    }
    return std::string();
  }));
  return 0;
}
