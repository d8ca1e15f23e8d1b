import Platform
import Testing

@testable import CodeCommit

struct GitDoorTests {
    @Test func requests() throws {
        let references = try GitRequest(
            method: "GET", path: "/v1/repos/my.repo/info/refs", query: "service=git-upload-pack", contentType: nil)
        #expect(references.repository == "my.repo" && references.service == .fetch && references.step == .references)
        let push = try GitRequest(
            method: "POST", path: "/v1/repos/r/git-receive-pack", query: "",
            contentType: "application/x-git-receive-pack-request")
        #expect(push.service == .push && push.step == .exchange)
    }

    @Test(
        arguments: [
            ("GET", "/v1/repos/../x/info/refs", .notFound),
            ("GET", "/v1/repos/a%2fb/info/refs", .notFound), ("GET", "/v1/repos/a.git/info/refs", .notFound),
            ("GET", "/v1/repos/a/objects/info/packs", .notFound), ("GET", "/v2/repos/a/info/refs", .notFound),
            ("GET", "/v1/repos/a/info/refs", .dumbClient), ("PUT", "/v1/repos/a/info/refs", .badMethod),
            ("GET", "/v1/repos/a/git-upload-pack", .badMethod), ("POST", "/v1/repos/a/git-receive-pack", .badType),
        ] as [(String, String, GitRequest.Refusal)])
    func refusals(_ method: String, _ path: String, _ refusal: GitRequest.Refusal) {
        #expect(throws: refusal) {
            try GitRequest(method: method, path: path, query: "", contentType: "text/plain")
        }
    }

    @Test func basicCredentials() throws {
        let header = "Basic " + Base64.encode(Array("AKIA%tok%en:pass:word".utf8))
        let given = try #require(BasicCredentials(header: header))
        #expect(given.accessKey.id == "AKIA" && given.accessKey.sessionToken == "tok%en")
        #expect(given.password.reveal() == "pass:word")
        #expect(BasicCredentials(header: "Bearer x") == nil)
        #expect(BasicCredentials(header: nil) == nil)
    }

    /// Made by git-remote-codecommit's own `sign` with this key, at this time.
    @Test func signatures() throws {
        let text = "20261123T160000Z" + GitDoorTests.signature
        let password = try #require(SignaturePassword(text))
        let secret = Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
        func isMade(path: String = "/v1/repos/r", host: String = "git-codecommit.us-east-1.localhost") -> Bool {
            password.isMade(with: secret, paths: ["/x", path], hosts: ["y", host], region: "us-east-1")
        }
        #expect(isMade())
        #expect(!isMade(path: "/v1/repos/s"))
        #expect(!isMade(host: "git-codecommit.us-east-2.localhost"))
        let made = try #require(Instant(iso8601: "2026-11-23T16:00:00Z"))
        #expect(password.isTimely(made + .seconds(899)) && !password.isTimely(made + .seconds(901)))
        #expect(!password.isTimely(made - .seconds(901)))
        #expect(SignaturePassword("20261123T160000" + GitDoorTests.signature) == nil)
    }

    static let signature = "f35f633ccce80f7bb4320f85273195b821643961fffc5840532c541774ec491c"
}
