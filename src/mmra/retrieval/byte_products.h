#pragma once

#include <cstddef>
#include <cstdint>

namespace mmra::retrieval {

/// How multiply_bytes() takes its vectors: each begins at a multiple of kByteStride in memory
/// (others are right, too, and take a third longer), and is filled up with zeros (rows) or with
/// anything that they may hold (queries).
inline constexpr std::size_t kByteStride = 64;

/// Queries lie in 0 … largest_query, rows in −largest_row … largest_row.
struct ByteRange {
  int largest_query;
  int largest_row;
};
/// So that four products fit into 16 bits: what processors without VNNI add up in.
inline constexpr ByteRange kSevenBits{127, 63};
inline constexpr ByteRange kEightBits{255, 127};
/// The widest that multiply_bytes() takes on this processor.
[[nodiscard]] ByteRange widest_byte_range();

/// dots [num_queries × num_rows], row-major = queries · rowsᵀ; `stride` is a multiple of
/// kByteStride. On the calling thread alone. Throws Error{kInternal} where oneDNN fails.
void multiply_bytes(const std::uint8_t* queries, std::size_t num_queries, const std::int8_t* rows,
                    std::size_t num_rows, std::size_t stride, std::int32_t* dots);

/// The same by code for any processor: what the others are tested against.
void multiply_bytes_plainly(const std::uint8_t* queries, std::size_t num_queries,
                            const std::int8_t* rows, std::size_t num_rows, std::size_t stride,
                            std::int32_t* dots);

}  // namespace mmra::retrieval
