#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace mmra::pipeline {

/// The text of a file that a spreadsheet or a studio wrote.
struct TextFile {
  std::string text;      ///< UTF-8, without a byte order mark
  std::string encoding;  ///< of the file: "UTF-8", "UTF-16LE", or what was told
};

/// `encoding` is a name that iconv knows ("gb18030", "windows-1252"); empty: found by the byte
/// order mark, by the zero bytes of UTF-16, else UTF-8. Throws Error{kInvalidInput} naming the line
/// where the bytes are not of that encoding, or the encoding is not known, or the file is larger
/// than 1 GiB; what read_file throws.
[[nodiscard]] TextFile read_text_file(const std::filesystem::path& file,
                                      const std::string& encoding = {});
/// The same of bytes; `name` stands for the file in messages.
[[nodiscard]] TextFile decode_text(std::string bytes, const std::string& name,
                                   const std::string& encoding = {});

/// ',', ';', tab or '|': the one that the first line with any has most of outside quotes. A line
/// "sep=;" decides, as spreadsheets write it.
[[nodiscard]] char find_delimiter(std::string_view text);

}  // namespace mmra::pipeline
