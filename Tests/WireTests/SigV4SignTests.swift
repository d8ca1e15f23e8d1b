import Platform
import Testing

@testable import Wire

@Suite struct SigV4SignTests {
    private let secret = Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    private let now = Instant(milliseconds: 1_795_413_600_000)
    private let body = Array("{}".utf8)

    private func signed(_ path: String, token: String? = nil) -> RequestHead {
        var head = RequestHead(
            method: "POST", path: path, query: "", headers: [(name: "host", value: "localhost:4566")])
        head.headers += SigV4.sign(
            head, body: body, accessKeyID: "AKIDEXAMPLE", secret: secret, sessionToken: token, region: "eu-west-1",
            service: "lambda", now: now)
        return head
    }

    private func verify(_ head: RequestHead, secret: Secret<String>) throws -> SignedRequest {
        let signed = try #require(try SigV4.parse(head))
        let hash = try #require(head.header("x-amz-content-sha256"))
        _ = try SigV4.verify(head, signed: signed, secret: secret, payloadHash: hash, now: now, forS3: false)
        return signed
    }

    /// What is signed here is accepted by the check that botocore's signatures pass.
    @Test(arguments: ["/", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aa%20b/invocations"])
    func isAccepted(_ path: String) throws {
        let request = try verify(signed(path, token: "a+b/c=="), secret: secret)
        #expect(request.scope.region == "eu-west-1" && request.scope.service == "lambda")
        #expect(request.scope.accessKeyID == "AKIDEXAMPLE" && request.scope.date == "20261123")
        #expect(request.sessionToken == "a+b/c==")
        #expect(request.signedHeaders == ["host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"])
    }

    @Test func coversEverything() throws {
        #expect(throws: AWSError.self) { try verify(signed("/"), secret: Secret("another")) }
        var head = signed("/")
        head.path = "/x"
        #expect(throws: AWSError.self) { try verify(head, secret: secret) }
        head = signed("/", token: "t")
        head.headers = head.headers.map { $0.name == "x-amz-security-token" ? ($0.name, "other") : $0 }
        #expect(throws: AWSError.self) { try verify(head, secret: secret) }
    }
}
