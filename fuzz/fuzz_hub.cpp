// What a hub answers, and mmra.json, of any bytes: the first byte says as what they are read.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mmra/hub/digest.h"
#include "mmra/hub/part_settings.h"
#include "mmra/hub/repository_listing.h"
#include "outcome.h"

namespace {

namespace hub = mmra::hub;
using mmra::fuzz::outcome_of;
using mmra::fuzz::require;

void read_listing(std::string_view text) {
  static_cast<void>(outcome_of([&] {
    const hub::RepositoryListing listing = hub::parse_listing(text, "o/n", "f");
    require(hub::is_hex(listing.revision, 40), "a commit that is none");
    for (const hub::HubFile& file : listing.files) {
      require(file.bytes >= 0, "a file of less than no bytes");
      require(file.sha256.empty() || hub::is_hex(file.sha256, 64), "a SHA-256 that is none");
    }
    for (const hub::Role role : hub::kRoles) {
      static_cast<void>(outcome_of([&] {
        for (const hub::HubFile& file : hub::select_files(listing, role)) {
          require(hub::is_plain_name(file.name), "a file outside its folder");
        }
        return std::string();
      }));
    }
    return std::string();
  }));
}

void read_index(std::string_view text) {
  static_cast<void>(outcome_of([&] {
    for (const std::string& name : hub::parse_weight_index(text, "f")) {
      require(hub::is_plain_name(name), "a shard outside its folder");
    }
    return std::string();
  }));
}

void read_part(std::string_view text) {
  static_cast<void>(outcome_of([&] {
    const hub::PartManifest manifest = hub::parse_part_manifest(text, "f");
    for (const hub::FileRecord& file : manifest.files) {
      require(hub::is_plain_name(file.name), "a file outside its folder");
    }
    const hub::PartManifest again =
        hub::parse_part_manifest(hub::to_json_text(manifest, hub::Role::kText), "g");
    require(again.files == manifest.files, "written and read again the files differ");
    return std::string();
  }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 5) {
    case 0:
      read_listing(text);
      break;
    case 1:
      read_index(text);
      break;
    case 2:
      read_part(text);
      break;
    case 3:
      static_cast<void>(
          outcome_of([&] { return hub::parse_conversion(text, "f").value_or(std::string()); }));
      break;
    default: {
      const std::string part(text);
      static_cast<void>(outcome_of([&] {
        static_cast<void>(hub::read_sentence_settings({part, "", ""}, "o/n"));
        return std::string();
      }));
      static_cast<void>(outcome_of([&] {
        static_cast<void>(hub::read_sentence_settings({"[]", part, part}, "o/n"));
        return std::string();
      }));
    }
  }
  return 0;
}
