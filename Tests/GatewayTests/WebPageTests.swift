import Platform
import Testing
import Wire

@testable import Gateway

/// A page in the user's browser must not drive a server that asks for no credentials.
@Suite struct WebPageTests {
    private func head(_ method: String = "POST", query: String = "", _ headers: (String, String)...) -> RequestHead {
        RequestHead(method: method, path: "/", query: query, headers: headers.map { (name: $0.0, value: $0.1) })
    }

    @Test(arguments: [
        "http://localhost:3000", "https://localhost", "http://127.0.0.1:8080", "http://[::1]:80",
        "http://app.localhost:3000", "http://devbox", "https://app.example:8443", "HTTPS://APP.EXAMPLE:8443",
    ])
    func ownPages(origin: String) {
        let pages = WebPages(isChecked: true, origins: ["https://app.example:8443"])
        #expect(pages.foreignPage(of: head(("origin", origin), ("sec-fetch-site", "cross-site"))) == nil)
    }

    @Test(arguments: [
        "https://evil.example", "null", "", "https://app.example", "http://app.example:8443",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example", "http://evil.example@localhost", "http://localhost/",
        "chrome-extension://abc.def",
        "file://", "http://1.evil",
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

    @Test func whatMayChangeSomething() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] { #expect(WebPages.mayChange(head(method))) }
        #expect(!WebPages.mayChange(head("GET")))
        #expect(!WebPages.mayChange(head("GET", query: "list-type=2")))
        #expect(WebPages.mayChange(head("GET", query: "Version=1&Action=DeleteRole")))
    }

    /// A signed request, so that the service is known; rest, json, query, S3.
    @Test func pagesAreRefusedInEveryProtocol() async throws {
        try await TinyServices.with { client in
            let evil = "Origin: https://evil.example"
            let json = ["Content-Type: application/x-amz-json-1.1", "X-Amz-Target: Logs_20140328.CreateLogGroup"]
            let form = "Content-Type: application/x-www-form-urlencoded"
            func status(_ method: String, _ path: String, _ headers: [String], _ body: String = "") throws -> (Int, Int)
            {
                let own = try client.ask(method, path, headers: headers, body: body)
                let foreign = try client.ask(method, path, headers: headers + [evil], body: body)
                if foreign.status == 403 { #expect(foreign.text.contains("--allow-origin")) }
                return (own.status, foreign.status)
            }
            #expect(try status("POST", "/2015-03-31/functions/f/invocations", [], "{}") == (200, 403))
            #expect(try status("POST", "/", json, "{\"logGroupName\":\"g\"}") == (200, 403))
            let action = "Action=GetCallerIdentity&Version=2011-06-15"
            #expect(try status("POST", "/", [form], action) == (200, 403))
            #expect(try status("GET", "/?" + action, []) == (200, 403))
            #expect(try status("PUT", "/bucket/key", [], "x") == (200, 403))
            #expect(try status("GET", "/bucket/key", []) == (200, 200))
        }
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
