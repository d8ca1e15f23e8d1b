import Platform
import Testing
import Wire

@testable import Gateway

/// A page in the user's browser must not drive a server that asks for no credentials.
@Suite struct WebPageTests {
    private func head(_ headers: (String, String)...) -> RequestHead {
        RequestHead(method: "POST", path: "/", query: "", headers: headers.map { (name: $0.0, value: $0.1) })
    }

    @Test(arguments: [
        "http://localhost:3000", "https://localhost", "http://127.0.0.1:8080", "http://[::1]:80",
        "http://app.localhost:3000", "http://devbox:4566", "https://app.example:8443", "HTTPS://APP.EXAMPLE:8443",
    ])
    func ownPages(origin: String) {
        let pages = WebPages(isChecked: true, origins: ["https://app.example:8443"])
        let sent = head(("host", "devbox:4566"), ("origin", origin), ("sec-fetch-site", "cross-site"))
        #expect(pages.foreignPage(of: sent) == nil)
    }

    @Test(arguments: [
        "https://evil.example", "null", "", "https://app.example", "http://app.example:8443",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example", "http://evil.example@localhost", "http://localhost/",
        "chrome-extension://abc.def",
        "file://", "http://1.evil", "http://wiki", "http://192.168.1.1", "chrome-extension://abcdef", "http://[::2]",
    ])
    func foreignPages(origin: String) {
        let pages = WebPages(isChecked: true, origins: ["https://app.example:8443"])
        #expect(pages.foreignPage(of: head(("origin", origin))) == origin)
        #expect(WebPages(isChecked: false).foreignPage(of: head(("origin", origin))) == nil)
    }

    @Test func withoutAnOriginTheBrowsersWordCounts() {
        let pages = WebPages(isChecked: true)
        #expect(pages.foreignPage(of: head(("sec-fetch-site", "cross-site"))) != nil)
        for site in ["none", "same-origin", "same-site"] {
            #expect(pages.foreignPage(of: head(("sec-fetch-site", site))) == nil)
        }
        #expect(pages.foreignPage(of: head()) == nil)
    }

    /// Rest, json, query, S3.
    @Test func pagesAreRefusedInEveryProtocol() async throws {
        let action = "Action=GetCallerIdentity&Version=2011-06-15"
        // No Action at first sight, and the service named as in a presigned URL.
        let hidden =
            "%41ction=GetCallerIdentity&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-SignedHeaders=host&"
            + "X-Amz-Signature=\(String(repeating: "0", count: 64))&X-Amz-Date=20260101T000000Z&X-Amz-Expires=9&"
            + "X-Amz-Credential=a%2F20260101%2Fus-east-1%2Fsts%2Faws4_request"
        let json = ["Content-Type: application/x-amz-json-1.1", "X-Amz-Target: Logs_20140328.CreateLogGroup"]
        let form = ["Content-Type: application/x-www-form-urlencoded"]
        let requests: [(method: String, path: String, headers: [String], body: String)] = [
            ("POST", "/2015-03-31/functions/f/invocations", [], "{}"), ("POST", "/", json, "{\"logGroupName\":\"g\"}"),
            ("POST", "/", form, action), ("GET", "/?" + action, [], ""), ("GET", "/?" + hidden, [], ""),
            ("PUT", "/bucket/key", [], "x"), ("GET", "/bucket/key", [], ""),
        ]
        func ask(_ origin: String?) async throws -> [RawClient.Answer] {
            try await TinyServices.with { client in
                try requests.map { request in
                    let more = origin.map { ["Origin: \($0)"] } ?? []
                    return try client.ask(
                        request.method, request.path, headers: request.headers + more, body: request.body)
                }
            }
        }
        #expect(try await ask(nil).map(\.status) == [200, 200, 200, 200, 200, 200, 200])
        #expect(try await ask("http://localhost:3000").map(\.status) == [200, 200, 200, 200, 200, 200, 200])
        let foreign = try await ask("https://evil.example")
        // Reading is harmless: the browser keeps the answer from the page.
        #expect(foreign.map(\.status) == [403, 403, 403, 403, 403, 403, 200])
        #expect(foreign.dropLast().allSatisfy { $0.text.contains("--allow-origin") })
    }

    /// DNS that points a name of the attacker's at loopback: the page is then of the same origin, and could read too.
    @Test(arguments: [
        "evil.example", "evil.example:4566", "127.0.0.1.evil.example", "localhost.evil.example", "1.2.evil:80",
    ])
    func reboundNamesAreRefused(host: String) async throws {
        let statuses = try await TinyServices.with { client in
            try ["/_martlet/health", "/bucket/key", "/2015-03-31/functions/f"].map {
                try client.ask("GET", $0, host: host).status
            }
        }
        #expect(statuses == [403, 403, 403])
    }

    @Test(arguments: [
        "localhost", "localhost:4566", "127.0.0.1:4566", "[::1]:4566", "martlet:4566", "host.docker.internal:4566",
        "s3.us-east-1.amazonaws.com", "bucket.s3.localhost:4566", "localhost.localstack.cloud:4566",
        "bucket.s3.localhost.localstack.cloud:4566", "LOCALHOST:4566",
    ])
    func namesOfThisServer(host: String) async throws {
        let status = try await TinyServices.with { try $0.ask("GET", "/_martlet/health", host: host).status }
        #expect(status == 200)
    }

    @Test func allowedOriginsMustBeOrigins() {
        for wrong in ["localhost:3000", "http://", "*", "http://a/b", "http://a b"] {
            #expect(throws: Failure.self) { try GatewayConfiguration(allowedOrigins: [wrong]) }
        }
        #expect(throws: Never.self) { try GatewayConfiguration(allowedOrigins: ["HTTP://App.Example:3000"]) }
    }
}
