#include "mmra/net/http_client.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "mmra/core/error.h"
#include "net/fake_server.h"

namespace mmra::net {
namespace {

using testing::FakeReply;
using testing::FakeRequest;
using testing::FakeServer;

/// A proxy of this machine has no business on 127.0.0.1.
class HttpClientTest : public ::testing::Test {
 protected:
  HttpClientTest() { ::setenv("no_proxy", "127.0.0.1", 1); }

  HttpAnswer get(const std::string& url, std::string* body = nullptr) {
    return client_.get(url, {"X-Asked: yes"},
                       [&](const HttpHead& /*head*/, std::string_view piece) {
                         if (body != nullptr) *body += piece;
                       },
                       {});
  }

  HttpClient client_;
};

TEST_F(HttpClientTest, GivesStatusHeadersAndBody) {
  const FakeServer server([](const FakeRequest& request) {
    return FakeReply{
        202, {{"X-One", " 1 "}, {"X-One", "2"}}, "asked: " + request.header("x-asked")};
  });
  std::string body;
  const HttpAnswer answer = get(server.url() + "/a", &body);
  EXPECT_EQ(answer.fault, "");
  EXPECT_EQ(answer.head.status, 202);
  EXPECT_EQ(answer.head.header("x-one"), "2");
  EXPECT_EQ(answer.head.header("x-two"), "");
  EXPECT_EQ(body, "asked: yes");
}

TEST_F(HttpClientTest, SendsABodyWithAnyMethod) {
  const FakeServer server([](const FakeRequest& request) {
    return FakeReply{200, {}, request.method + " " + request.body};
  });
  const std::string large(300'000, 'x');
  for (const std::string method : {"POST", "PUT", "DELETE"}) {
    for (const std::string& sent : {std::string("small"), large, std::string()}) {
      std::string body;
      const auto take = [&](const HttpHead& /*head*/, std::string_view piece) { body += piece; };
      const HttpAnswer answer = client_.send({method, server.url(), {}, sent}, take, {});
      EXPECT_EQ(answer.fault, "");
      EXPECT_TRUE(body == method + " " + sent) << body.size();
    }
  }
}

TEST_F(HttpClientTest, AServerThatHangsUpIsAPassingFault) {
  const FakeServer server([](const FakeRequest&) {
    FakeReply reply;
    reply.hangs_up = true;
    return reply;
  });
  const HttpAnswer answer = get(server.url());
  EXPECT_NE(answer.fault, "");
  EXPECT_TRUE(answer.fault_is_passing);
  EXPECT_TRUE(answer.is_reached);
}

TEST_F(HttpClientTest, FollowsNoRedirect) {
  const FakeServer server([](const FakeRequest&) {
    return FakeReply{302, {{"Location", "/elsewhere"}}, ""};
  });
  EXPECT_EQ(get(server.url() + "/a").head.status, 302);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(HttpClientTest, ACutConnectionIsAPassingFault) {
  const FakeServer server([](const FakeRequest&) {
    return FakeReply{200, {}, std::string(1000, 'x'), 400};
  });
  std::string body;
  const HttpAnswer answer = get(server.url() + "/a", &body);
  EXPECT_NE(answer.fault, "");
  EXPECT_TRUE(answer.fault_is_passing);
  EXPECT_TRUE(answer.is_reached);
  EXPECT_EQ(body.size(), 400U);
}

TEST_F(HttpClientTest, NobodyThereIsAFaultThatReachedNobody) {
  std::string url;
  {
    const FakeServer server([](const FakeRequest&) { return FakeReply{}; });
    url = server.url();
  }
  const HttpAnswer answer = get(url);
  EXPECT_NE(answer.fault, "");
  EXPECT_TRUE(answer.fault_is_passing);
  EXPECT_FALSE(answer.is_reached);
}

TEST_F(HttpClientTest, SpeaksHttpAlone) {
  const HttpAnswer answer = get("file:///etc/hostname");
  EXPECT_NE(answer.fault, "");
  EXPECT_FALSE(answer.fault_is_passing);
}

TEST_F(HttpClientTest, RethrowsWhatTheSinkThrows) {
  const FakeServer server([](const FakeRequest&) { return FakeReply{200, {}, "body"}; });
  EXPECT_THROW((void)client_.get(server.url(), {},
                                 [](const HttpHead& /*head*/, std::string_view /*piece*/) {
                                   throw Error(ErrorKind::kIo, "full");
                                 },
                                 {}),
               Error);
}

TEST_F(HttpClientTest, StopsWhenAsked) {
  const FakeServer server([](const FakeRequest&) { return FakeReply{}; });
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW((void)client_.get(server.url(), {}, {}, stop.get_token()), Interrupted);
}

TEST(OriginOf, IsSchemeHostAndPort) {
  EXPECT_EQ(origin_of("https://Hub.example/a/b?c"), "https://hub.example:443");
  EXPECT_EQ(origin_of("http://hub.example"), "http://hub.example:80");
  EXPECT_EQ(origin_of("http://127.0.0.1:8080/x"), "http://127.0.0.1:8080");
  EXPECT_NE(origin_of("http://127.0.0.1:8080"), origin_of("http://127.0.0.1:8081"));
  EXPECT_EQ(origin_of("ftp://hub.example"), "");
  EXPECT_EQ(origin_of("https://hub.example@evil.example/"), "");
  EXPECT_EQ(origin_of("hub"), "");
  EXPECT_EQ(origin_of(""), "");
}

TEST(ResolveUrl, TakesRelativeAndAbsoluteOnes) {
  EXPECT_EQ(resolve_url("https://a.example/x/y", "/z?q=1"), "https://a.example/z?q=1");
  EXPECT_EQ(resolve_url("https://a.example/x/y", "https://b.example/"), "https://b.example/");
  EXPECT_EQ(resolve_url("", "nothing"), "");
}

TEST(PercentEncode, LeavesWhatNeedsNone) {
  EXPECT_EQ(percent_encode("refs/pr/1", false), "refs%2Fpr%2F1");
  EXPECT_EQ(percent_encode("1_Pooling/config.json", true), "1_Pooling/config.json");
  EXPECT_EQ(percent_encode("a b?#%\xC3\xA9", true), "a%20b%3F%23%25%C3%A9");
}

}  // namespace
}  // namespace mmra::net
