#include "mmra/serving/multipart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::serving {
namespace {

using ::testing::HasSubstr;

class Multipart : public ::testing::Test {
 protected:
  Form read(const std::string& body, std::size_t piece = 1 << 16,
            const FormLimits& limits = {8, 100}) {
    MultipartReader reader("b", limits, directory_.path());
    for (std::size_t at = 0; at < body.size(); at += piece) {
      reader.append(std::string_view(body).substr(at, piece));
    }
    return reader.finish();
  }
  void expect_refused(const std::string& body, int status, const std::string& part,
                      const FormLimits& limits = {8, 100}) {
    try {
      (void)read(body, 1 << 16, limits);
      ADD_FAILURE() << "taken: " << body;
    } catch (const Refusal& refusal) {
      EXPECT_EQ(refusal.problem().status, status) << refusal.what();
      EXPECT_THAT(refusal.what(), HasSubstr(part));
    }
    EXPECT_TRUE(std::filesystem::is_empty(directory_.path())) << "a file was left behind";
  }
  static std::string part(const std::string& name, const std::string& content) {
    return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + content +
           "\r\n";
  }

  mmra::testing::TemporaryDirectory directory_;
};

TEST_F(Multipart, ReadsFieldsAndTheFileInPiecesOfAnySize) {
  std::string video;
  for (int i = 0; i < 1000; ++i) video += static_cast<char>(i * 7);
  video += "\r\n--c\r\n--";  // nearly a boundary
  const std::string body =
      "--b\r\nX-Other: 1\r\ncontent-disposition: form-data; name=\"video\"; "
      "filename=\"../../a \\\"b\\\".mp4\"\r\nContent-Type: video/mp4\r\n\r\n" +
      video + "\r\n" + part("title", "a\r\nb") + part("empty", "") +
      "--b--\r\nwhat follows means nothing";
  for (const std::size_t piece : {1, 2, 3, 7, 64, 100000}) {
    const Form form = read(body, piece);
    ASSERT_EQ(form.fields.size(), 2U);
    EXPECT_EQ(form.fields[0], (std::pair<std::string, std::string>("title", "a\r\nb")));
    EXPECT_EQ(form.fields[1], (std::pair<std::string, std::string>("empty", "")));
    ASSERT_NE(form.video, nullptr);
    EXPECT_EQ(read_file(form.video->path()), video);
    EXPECT_EQ(form.video->size_bytes(), video.size());
    EXPECT_EQ(form.video->path().parent_path(), directory_.path()) << "its name is never used";
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path())) << "it goes with the form";
}

TEST_F(Multipart, AFormWithoutPartsIsOne) { EXPECT_TRUE(read("--b--").fields.empty()); }

TEST_F(Multipart, RefusesWhatIsNoForm) {
  expect_refused("", 400, "closing boundary");
  expect_refused(std::string(2000, 'x'), 400, "does not begin");
  expect_refused(part("a", "1"), 400, "closing boundary");
  expect_refused("--bx\r\n", 400, "does not end its line");
  expect_refused("--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--", 400, "no name");
  expect_refused("--b\r\nnonsense\r\n\r\n1\r\n--b--", 400, "without \":\"");
  expect_refused("--b\r\nA: " + std::string(5000, 'x') + "\r\n\r\n", 400, "longer than");
  expect_refused(part("a", "\xFF") + "--b--", 400, "not UTF-8");
  expect_refused(part("video", "1") + part("video", "2") + "--b--", 400, "second");
}

TEST_F(Multipart, HasLimits) {
  expect_refused(part("a", "12345") + "--b--", 413, "longer than", {8, 4});
  expect_refused(part("a", "1") + part("b", "2") + "--b--", 400, "more than 1", {1, 100});
  EXPECT_EQ(read(part("a", "1234") + "--b--", 1, {1, 4}).fields.size(), 1U);
}

TEST(Boundary, IsReadFromTheMediaType) {
  EXPECT_EQ(boundary_of("multipart/form-data; boundary=abc"), "abc");
  EXPECT_EQ(boundary_of("Multipart/Form-Data;charset=x; Boundary=\"a b\""), "a b");
  for (const char* type :
       {"text/plain", "multipart/mixed; boundary=a", "", "multipart/form-dataX"}) {
    try {
      (void)boundary_of(type);
      ADD_FAILURE() << type;
    } catch (const Refusal& refusal) {
      EXPECT_EQ(refusal.problem().status, 415);
    }
  }
  for (const std::string& boundary :
       {std::string(), std::string(71, 'a'), std::string("a\r\nb"), std::string("\"a \"")}) {
    EXPECT_THROW((void)boundary_of("multipart/form-data; boundary=" + boundary), Refusal)
        << boundary;
  }
  EXPECT_THROW((void)boundary_of("multipart/form-data"), Refusal);
}

}  // namespace
}  // namespace mmra::serving
