import Platform
import Testing

@testable import Wire

@Suite struct PresignTests {
    private let now = Instant(milliseconds: 1_795_413_600_000)

    private func verify(_ path: String, _ query: String, host: String = "127.0.0.1:4566", now: Instant) throws {
        let head = RequestHead(method: "GET", path: path, query: query, headers: [(name: "host", value: host)])
        let signed = try #require(try SigV4.parse(head))
        #expect(signed.isPresigned && signed.sessionToken == "to+ken/=")
        _ = try SigV4.verify(
            head, signed: signed, secret: Secret("secret"), payloadHash: nil, now: now, forS3: true)
    }

    @Test(arguments: ["", "versionId=1", "list-type=2&prefix=a%2Fb&delimiter=%20", "acl"])
    func whatIsPresignedIsAccepted(query: String) throws {
        let path = "/bucket/a%20b/%C3%BC"
        let text = SigV4.presign(
            method: "GET", path: path, query: query, host: "127.0.0.1:4566", accessKeyID: "ASIAAAAAAAAAAAAAAAAA",
            secret: Secret("secret"), sessionToken: Secret("to+ken/="), region: "us-east-1", seconds: 61, now: now)
        try verify(path, text, now: now)
        try verify(path, text, now: now + .seconds(60))
        #expect(throws: AWSError.self) { try verify(path, text, now: now + .seconds(62)) }
        #expect(throws: AWSError.self) { try verify("/bucket/other", text, now: now) }
        #expect(throws: AWSError.self) { try verify(path, text + "&versionId=2", now: now) }
        #expect(throws: AWSError.self) { try verify(path, text, host: "elsewhere", now: now) }
    }
}
