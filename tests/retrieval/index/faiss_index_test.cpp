#include "mmra/retrieval/index/faiss_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <numeric>
#include <set>
#include <thread>
#include <utility>

#include "expect_error.h"
#include "mmra/core/error.h"
#include "mmra/retrieval/similarity.h"
#include "retrieval/index/clustered_table.h"

namespace mmra::retrieval {
namespace {

using mmra::testing::expect_error;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::size_t kDim = 32;

std::vector<float> clustered_vectors(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> vectors;
  for (const auto& row : testing::clustered_rows(count, kDim, random)) {
    vectors.insert(vectors.end(), row.vector.begin(), row.vector.end());
  }
  return vectors;
}

/// Without clusters neighbours lie everywhere: what is hardest to find.
std::vector<float> scattered_vectors(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> vectors;
  for (std::size_t i = 0; i < count; ++i) {
    const auto vector = testing::random_unit_vector(kDim, random);
    vectors.insert(vectors.end(), vector.begin(), vector.end());
  }
  return vectors;
}

FaissIndex made(const std::string& spec, std::span<const float> vectors) {
  return FaissIndex::build({spec, 2, {}, {}}, vectors, kDim);
}

/// The places of the k best admitted vectors, by looking at all.
std::vector<std::size_t> exact(std::span<const float> vectors, std::span<const float> query,
                               std::size_t k, const Admission& admits) {
  std::vector<Found> all;
  for (std::size_t place = 0; place < vectors.size() / kDim; ++place) {
    if (!admits(place)) continue;
    all.push_back({static_cast<std::int32_t>(place),
                   canonical_similarity(query, vectors.subspan(place * kDim, kDim))});
  }
  std::sort(all.begin(), all.end(), is_better);
  std::vector<std::size_t> best;
  for (std::size_t i = 0; i < std::min(k, all.size()); ++i) {
    best.push_back(static_cast<std::size_t>(all[i].place));
  }
  return best;
}

/// The share of the ten best that are among what is found; nothing refused ever is.
double recall_of(const FaissIndex& index, std::span<const float> vectors, int width,
                 const Admission& admits, double share) {
  constexpr std::size_t kTop = 10;
  constexpr std::size_t kQueries = 60;
  std::size_t num_found = 0;
  std::size_t num_wanted = 0;
  for (std::size_t q = 0; q < kQueries; ++q) {
    const auto query = vectors.subspan(q * 7 % (vectors.size() / kDim) * kDim, kDim);
    const auto found = index.search(query, index.places_for(kTop, {}), width, &admits, share);
    std::set<std::size_t> places;
    for (const Found& each : found) {
      EXPECT_TRUE(admits(static_cast<std::size_t>(each.place)));
      places.insert(static_cast<std::size_t>(each.place));
    }
    EXPECT_EQ(places.size(), found.size()) << "a place was found twice";
    for (const std::size_t place : exact(vectors, query, kTop, admits)) {
      num_found += places.count(place);
      ++num_wanted;
    }
  }
  return static_cast<double>(num_found) / static_cast<double>(num_wanted);
}

bool everyone(std::size_t /*place*/) { return true; }

class EveryKind : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryKind, FindsMostOfTheNearestAtItsLargestWidth) {
  const auto vectors = clustered_vectors(3000, 1);
  FaissIndex index = made(GetParam(), vectors);
  EXPECT_EQ(index.num_vectors(), 3000U);
  EXPECT_EQ(index.dim(), kDim);
  index.set_width(index.most_width());
  EXPECT_GE(recall_of(index, vectors, index.most_width(), everyone, 1.0), 0.93);
}

TEST_P(EveryKind, FindsWhatAFilterAdmitsAndNothingElse) {
  const auto vectors = clustered_vectors(3000, 2);
  FaissIndex index = made(GetParam(), vectors);
  index.set_width(index.most_width());
  for (const std::size_t one_in : {2U, 10U}) {
    const Admission admits = [&](std::size_t place) { return place % one_in == 0; };
    EXPECT_GE(
        recall_of(index, vectors, index.most_width(), admits, 1.0 / static_cast<double>(one_in)),
        0.9)
        << one_in;
  }
}

TEST_P(EveryKind, AnswersTheSameWhenReadAgain) {
  const auto vectors = clustered_vectors(2000, 3);
  const FaissIndex index = made(GetParam(), vectors);
  std::vector<std::byte> bytes;
  index.write([&](const void* data, std::size_t size) {
    const auto* from = static_cast<const std::byte*>(data);
    bytes.insert(bytes.end(), from, from + size);
  });
  const FaissIndex again = FaissIndex::read(bytes);
  const int width = (index.least_width() + index.most_width()) / 2;
  for (std::size_t q = 0; q < 20; ++q) {
    const auto query = std::span(vectors).subspan(q * kDim, kDim);
    const auto before = index.search(query, 10, width, nullptr, 1.0);
    const auto after = again.search(query, 10, width, nullptr, 1.0);
    ASSERT_EQ(before.size(), after.size());
    for (std::size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(before[i].place, after[i].place);
      EXPECT_EQ(before[i].score, after[i].score);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Factory, EveryKind,
                         ::testing::Values("HNSW16", "HNSW16_SQ8", "IVF32,Flat", "IVF32,SQ8",
                                           "IVF32,PQ16", "SQ8", "SQfp16", "IVF32,SQ8,RFlat",
                                           "OPQ16_32,IVF32,PQ16", "PCA24,IVF32,Flat",
                                           "IVF32,PQ16x4fs", "IVF32,PQ16x4fsr",
                                           "IVF32,PQ16x4fs,RFlat", "PCA24,IVF32,PQ12x4fs",
                                           "IVF32_HNSW8,PQ16x4fs"));

TEST(FaissIndex, AWiderWalkFindsMore) {
  const auto vectors = scattered_vectors(6000, 4);
  const FaissIndex index = made("HNSW4", vectors);
  const double narrow = recall_of(index, vectors, 16, everyone, 1.0);
  const double wide = recall_of(index, vectors, 256, everyone, 1.0);
  EXPECT_LT(narrow, 0.99) << "too easy to say anything";
  EXPECT_GT(wide, narrow);
}

TEST(FaissIndex, MoreListsFindMore) {
  const auto vectors = scattered_vectors(3000, 5);
  const FaissIndex index = made("IVF64,Flat", vectors);
  const double narrow = recall_of(index, vectors, 1, everyone, 1.0);
  EXPECT_LT(narrow, 0.95);
  EXPECT_EQ(recall_of(index, vectors, 64, everyone, 1.0), 1.0);
  EXPECT_EQ(index.least_width(), 1);
  EXPECT_EQ(index.most_width(), 64);
}

/// What is found in codes of four bits must be what the codes say, not only most of what is near.
TEST(FaissIndex, CodesAreScoredAsTheyAre) {
  const auto vectors = clustered_vectors(2000, 12);
  for (const char* spec : {"IVF16,PQ32x4fs", "IVF16,PQ32x4fsr", "IVF16,PQ8x4fs"}) {
    const FaissIndex index = made(spec, vectors);
    double squares = 0.0;
    std::size_t count = 0;
    for (std::size_t q = 0; q < 50; ++q) {
      const auto query = std::span(vectors).subspan(q * 31 * kDim, kDim);
      for (const Found& each : index.search(query, 100, 16, nullptr, 1.0)) {
        const auto place = static_cast<std::size_t>(each.place);
        const double error = each.score - canonical_similarity(query, std::span(vectors).subspan(
                                                                          place * kDim, kDim));
        squares += error * error;
        ++count;
      }
    }
    EXPECT_EQ(count, 5000U) << spec;
    EXPECT_LT(std::sqrt(squares / static_cast<double>(count)), spec[8] == '3' ? 0.05 : 0.25)
        << spec;
  }
}

TEST(FaissIndex, ListsOfCodesAreScannedUpToTheEndAlone) {
  const auto vectors = scattered_vectors(3000, 13);
  const FaissIndex index = made("IVF16,PQ32x4fs", vectors);
  for (const std::size_t end :
       {std::size_t{0}, std::size_t{1}, std::size_t{700}, std::size_t{3000}}) {
    const Admission admits = [&](std::size_t place) { return place < end; };
    for (std::size_t q = 0; q < 20; ++q) {
      const auto query = std::span(vectors).subspan(q * kDim, kDim);
      const auto asked = index.search(query, 50, 16, &admits, 1.0);
      const auto ended = index.search(query, 50, 16, nullptr, 1.0, end);
      ASSERT_EQ(ended.size(), std::min<std::size_t>(50, end));
      ASSERT_EQ(asked.size(), ended.size());
      for (std::size_t i = 0; i < ended.size(); ++i) EXPECT_EQ(ended[i].place, asked[i].place);
    }
  }
}

TEST(FaissIndex, BlocksOfOtherSizesAreNotSearched) {
  const auto vectors = clustered_vectors(200, 14);
  expect_error(ErrorKind::kInvalidInput, "only those of 32",
               [&] { static_cast<void>(made("IVF4,PQ16x4fs_64", vectors)); });
}

TEST(FaissIndex, OfNobodyAdmittedNobodyIsFound) {
  const auto vectors = clustered_vectors(500, 6);
  const Admission nobody = [](std::size_t) { return false; };
  for (const char* spec : {"HNSW8", "IVF8,Flat", "IVF8,PQ16x4fs", "SQ8"}) {
    EXPECT_THAT(made(spec, vectors).search(std::span(vectors).first(kDim), 10, 8, &nobody, 0.01),
                IsEmpty())
        << spec;
  }
}

TEST(FaissIndex, OneVectorIsAnIndexToo) {
  const auto vectors = clustered_vectors(1, 7);
  const FaissIndex index = made("HNSW32", vectors);
  EXPECT_THAT(index.search(vectors, 10, 16, nullptr, 1.0), SizeIs(1));
}

TEST(FaissIndex, SaysWhatFaissDoesNotMake) {
  const auto vectors = clustered_vectors(100, 8);
  for (const char* spec : {"HNWS32", "", "IVF", "PQ7", "IVF4,PQ5"}) {
    expect_error(ErrorKind::kInvalidInput, "FAISS makes no index",
                 [&] { static_cast<void>(made(spec, vectors)); });
  }
  expect_error(ErrorKind::kInvalidInput, "of 100 vectors",
               [&] { static_cast<void>(made("IVF1024,Flat", vectors)); });
}

TEST(FaissIndex, KnowsHowManyVectorsItNeeds) {
  EXPECT_EQ(FaissIndex::num_needed("HNSW32", kDim), 1U);
  EXPECT_EQ(FaissIndex::num_needed("IVF300,Flat", kDim), 300U);
  EXPECT_EQ(FaissIndex::num_needed("IVF4,PQ8", kDim), 256U) << "centroids of a code of a byte";
  EXPECT_EQ(FaissIndex::num_needed("HNSW8_PQ8", kDim), 256U);
  EXPECT_EQ(FaissIndex::num_needed("IVF4,PQ8x4fs", kDim), 16U);
  EXPECT_EQ(FaissIndex::num_needed("OPQ8_16,IVF300,PQ8", kDim), 300U);
  const auto vectors = clustered_vectors(256, 10);
  EXPECT_EQ(made("IVF4,PQ8", vectors).num_vectors(), 256U) << "so many are enough";
  expect_error(ErrorKind::kInvalidInput, "of 255 vectors",
               [&] { static_cast<void>(made("IVF4,PQ8", std::span(vectors).first(255 * kDim))); });
}

// OpenMP's number of threads belongs to the calling thread, who may multiply something next.
TEST(FaissIndex, LeavesTheCallersOpenMpThreadsAlone) {
  const int num_before = omp_get_max_threads();
  constexpr int kOfTheCaller = 5;
  omp_set_num_threads(kOfTheCaller);
  const auto vectors = clustered_vectors(500, 11);
  const FaissIndex index = made("IVF8,Flat", vectors);
  EXPECT_EQ(omp_get_max_threads(), kOfTheCaller) << "after building";
  EXPECT_THROW(static_cast<void>(made("IVF1000,Flat", vectors)), Error);
  EXPECT_EQ(omp_get_max_threads(), kOfTheCaller) << "after building in vain";
  static_cast<void>(index.search(std::span(vectors).first(kDim), 10, 8, nullptr, 1.0));
  EXPECT_EQ(omp_get_max_threads(), kOfTheCaller) << "after a search";
  omp_set_num_threads(num_before);
}

TEST(FaissIndex, StopsWhenAsked) {
  const auto vectors = clustered_vectors(40'000, 9);
  std::stop_source stop;
  std::jthread somebody([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop.request_stop();
  });
  EXPECT_THROW(
      static_cast<void>(FaissIndex::build({"HNSW16", 2, stop.get_token(), {}}, vectors, kDim)),
      Interrupted)
      << "it takes a second";
  EXPECT_THROW(
      static_cast<void>(FaissIndex::build({"IVF256,Flat", 2, stop.get_token(), {}}, vectors, kDim)),
      Interrupted);
}

// An update beside searches lasts seconds, a join minutes.
TEST(FaissIndex, IsMadeBesideAnotherAndStoppedByItsOwnStopAlone) {
  const std::vector<float> many = scattered_vectors(40'000, 3);
  const std::vector<float> few = clustered_vectors(2000, 4);
  std::stop_source stop;
  std::promise<void> has_begun;
  std::promise<void> may_go_on;
  IndexBuild slow{"IVF64,Flat", 1, stop.get_token(), {}};
  slow.added = [&, is_first = true](std::size_t) mutable {
    if (!std::exchange(is_first, false)) return;
    has_begun.set_value();
    may_go_on.get_future().wait();
  };
  auto interrupted = std::async(std::launch::async, [&] {
    try {
      static_cast<void>(FaissIndex::build(slow, many, kDim));
    } catch (const Interrupted&) {
      return true;
    }
    return false;
  });
  has_begun.get_future().wait();
  stop.request_stop();
  auto quick = std::async(std::launch::async, [&] { return made("HNSW16", few).num_vectors(); });
  // That long it takes only where it waits for the other.
  EXPECT_EQ(quick.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  may_go_on.set_value();
  EXPECT_EQ(quick.get(), 2000U);
  EXPECT_TRUE(interrupted.get());
}

TEST(FaissIndex, OtherBytesAreDamage) {
  const std::vector<std::byte> bytes(100, std::byte{7});
  expect_error(ErrorKind::kCorruptData, "not an index",
               [&] { static_cast<void>(FaissIndex::read(bytes)); });
  expect_error(ErrorKind::kCorruptData, "not an index",
               [&] { static_cast<void>(FaissIndex::read({})); });
}

}  // namespace
}  // namespace mmra::retrieval
