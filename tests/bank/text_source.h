#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "mmra/bank/csv_reader.h"

namespace mmra::testing {

/// A source of `text` that gives at most `piece_bytes` at a time, as a slow pipe does.
inline bank::ByteSource text_source(std::string text, std::size_t piece_bytes = 1 << 16) {
  return
      [text = std::move(text), piece_bytes, at = std::size_t{0}](std::span<char> buffer) mutable {
        const std::size_t size = std::min({piece_bytes, buffer.size(), text.size() - at});
        std::memcpy(buffer.data(), text.data() + at, size);
        at += size;
        return size;
      };
}

}  // namespace mmra::testing
