import Contracts
import NIOCore
import Platform
import Testing
import Wire

@testable import Gateway

/// Knows AWS's documentation key.
private struct OneKey: CredentialIssuer {
    func issue(
        roleARN: String, sessionName: String, account: String, tags: [SessionTag], lifetime: Duration, now: Instant
    ) -> SessionCredentials {
        NoCredentials().issue(
            roleARN: roleARN, sessionName: sessionName, account: account, lifetime: lifetime, now: now)
    }

    func lookup(accessKeyID: String, sessionToken: String?, now: Instant) -> KnownCredentials? {
        guard accessKeyID == "AKIDEXAMPLE" else { return nil }
        return KnownCredentials(
            secret: Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), principal: .account("123456789012"))
    }
}

/// Requests that botocore 1.43 signed for 2026-11-23T06:00:00Z, where `ManualTime` stands.
@Suite struct SignedRequestTests {
    private static func authorization(_ scope: String, _ signedHeaders: String, _ signature: String) -> [String] {
        [
            "X-Amz-Date: 20261123T060000Z",
            "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/\(scope)/aws4_request, "
                + "SignedHeaders=\(signedHeaders), Signature=\(signature)",
        ]
    }

    private static let lambda = authorization(
        "eu-west-1/lambda", "host;x-amz-date", "ac696c77bf25bf666fc52bab4629af8eec4f7df1ae23404eb295c5c3930d191b")
    private static let logs =
        authorization(
            "us-east-1/logs", "content-type;host;x-amz-date;x-amz-target",
            "c8efbc8c7d3f7ffa2f934bd930cff43b733048a129eb1239a13c99459160c2b1")
        + ["X-Amz-Target: Logs_20140328.CreateLogGroup", "Content-Type: application/x-amz-json-1.1"]
    private static let sts =
        authorization(
            "us-west-2/sts", "content-type;host;x-amz-date",
            "8d4e83c6f98e9f3f6445c27bade52627b5efdebff0f091d584c2dd1d6bcf8bbe")
        + ["Content-Type: application/x-www-form-urlencoded; charset=utf-8"]
    private static let helloHash =
        "x-amz-content-sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    private static let put =
        authorization(
            "us-east-1/s3", "host;x-amz-content-sha256;x-amz-date",
            "3b9946b20d3ae55ee34462b1aed18dc59f72dfcef2938773c257a9fb36916da5") + [helloHash]
    private static let putByHost =
        authorization(
            "us-east-1/s3", "host;x-amz-content-sha256;x-amz-date",
            "a61132a12b32aa962c850ab1011b989a62522f55d8e13040028965cf5b0ccb4a") + [helloHash]
    private static let presigned =
        "/photos/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261123%2Fus-east-1%2Fs3%2F"
        + "aws4_request&X-Amz-Date=20261123T060000Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host&X-Amz-Signature="
        + "af891edd47f79ad2ab9abb2a31570e8dfd3115a371a4f355249c314995baaad3"

    /// Presigned with signature version 2 for ten minutes.
    private static func version2(
        _ path: String = "/photos/k", key: String = "AKIDEXAMPLE", expires: String = "1795414200",
        signature: String = "n8QTQhcX3RoZOyT%2BDCOrx2ww58E%3D"
    ) -> String {
        "\(path)?AWSAccessKeyId=\(key)&Signature=\(signature)&Expires=\(expires)"
    }

    private static func withAuthentication<T: Sendable>(
        time: ManualTime = ManualTime(), _ body: @escaping @Sendable (RawClient) throws -> T
    ) async throws -> T {
        try await TinyServices.with(authentication: .sigv4, time: time, credentials: OneKey(), body)
    }

    @Test func goodSignaturesPass() async throws {
        try await SignedRequestTests.withAuthentication { client in
            let function = try client.ask("GET", "/2015-03-31/functions/f", headers: SignedRequestTests.lambda)
            #expect(function.status == 200)
            #expect(function.text.contains("123456789012 eu-west-1 "))
            let made = try client.ask("POST", "/", headers: SignedRequestTests.logs, body: "{\"logGroupName\":\"g\"}")
            #expect(made.status == 200)
            let caller = try client.ask(
                "POST", "/", headers: SignedRequestTests.sts, body: "Action=GetCallerIdentity&Version=2011-06-15")
            #expect(caller.text.contains("arn:aws:iam::123456789012:root"))
            let put = try client.ask("PUT", "/photos/k", headers: SignedRequestTests.put, body: "hello")
            #expect(put.header("etag") == "photos|k|5")
            let byHost = try client.ask(
                "PUT", "/k", host: "photos.localhost:4566", headers: SignedRequestTests.putByHost, body: "hello")
            #expect(byHost.header("etag") == "photos|k|5")
            #expect(try client.ask("GET", SignedRequestTests.presigned).text == "hello")
        }
    }

    @Test func changedRequestsDoNot() async throws {
        try await SignedRequestTests.withAuthentication { client in
            let path = try client.ask("GET", "/2015-03-31/functions/g", headers: SignedRequestTests.lambda)
            #expect(path.status == 403)
            #expect(path.header("x-amzn-errortype") == "InvalidSignatureException")
            let body = try client.ask("POST", "/", headers: SignedRequestTests.logs, body: "{\"logGroupName\":\"h\"}")
            #expect(body.text.contains("InvalidSignatureException"))
            let stream = try client.ask("PUT", "/photos/k", headers: SignedRequestTests.put, body: "jello")
            #expect(stream.status == 400)
            #expect(stream.text.contains("<Code>XAmzContentSHA256Mismatch</Code>"))
            // The connection is still good.
            let key = try client.ask("PUT", "/photos/l", headers: SignedRequestTests.put, body: "hello")
            #expect(key.status == 403)
            #expect(key.text.contains("<Code>SignatureDoesNotMatch</Code>"))
        }
    }

    @Test func oldRequestsDoNot() async throws {
        let time = ManualTime()
        time.advance(by: .seconds(901))
        try await SignedRequestTests.withAuthentication(time: time) { client in
            let put = try client.ask("PUT", "/photos/k", headers: SignedRequestTests.put, body: "hello")
            #expect(put.text.contains("<Code>RequestTimeTooSkewed</Code>"))
            #expect(try client.ask("GET", SignedRequestTests.presigned).text.contains("Request has expired"))
        }
    }

    @Test func version2URLs() async throws {
        try await SignedRequestTests.withAuthentication { client in
            #expect(try client.ask("GET", SignedRequestTests.version2()).text == "hello")
            let byHost = try client.ask("GET", SignedRequestTests.version2("/k"), host: "photos.localhost:4566")
            #expect(byHost.text == "hello")
            let put = SignedRequestTests.version2(signature: "2OjuS1kTAxNxaT2nLmnGwmFg3S0%3D")
            #expect(try client.ask("PUT", put, body: "hello").header("etag") == "photos|k|5")
            let refusals: [(path: String, code: String, text: String)] = [
                (put, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature"),
                (SignedRequestTests.version2("/photos/l"), "SignatureDoesNotMatch", "/photos/l"),
                (
                    SignedRequestTests.version2(key: "AKIDNOBODY"), "InvalidAccessKeyId",
                    "The AWS Access Key Id you provided does not exist in our records."
                ),
                (SignedRequestTests.version2(expires: "1795413599"), "AccessDenied", "Request has expired"),
                (
                    SignedRequestTests.version2(expires: "soon"), "AccessDenied",
                    "Invalid date (should be seconds since epoch): soon"
                ),
                (
                    "/photos/k?Signature=x&Expires=1795414200", "AccessDenied",
                    "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
                ),
            ]
            for refusal in refusals {
                let answer = try client.ask("GET", refusal.path)
                #expect(answer.status == 403)
                #expect(answer.text.contains("<Code>\(refusal.code)</Code>"), "\(answer.text)")
                #expect(answer.text.contains(refusal.text), "\(answer.text)")
            }
            // Only S3 takes them; elsewhere a signature is any parameter.
            let lambda = try client.ask("GET", SignedRequestTests.version2("/2015-03-31/functions/f"))
            #expect(lambda.status == 400 && lambda.text.contains("Please use AWS4-HMAC-SHA256."))
            let own = try client.ask("GET", "/2015-03-31/functions/f?Signature=x")
            #expect(own.header("x-amzn-errortype") == "MissingAuthenticationTokenException")
            let header = try client.ask("GET", "/photos/k", headers: ["Authorization: AWS AKIDEXAMPLE:x"])
            #expect(header.status == 400 && header.text.contains("Please use AWS4-HMAC-SHA256."))
        }
        try await TinyServices.with { client in
            let account = SignedRequestTests.version2(key: "222233334444", expires: "0")
            let known = try client.ask("GET", SignedRequestTests.version2())
            #expect(known.text == "hello")
            #expect(try client.ask("GET", account).text == "hello")
            #expect(try client.ask("GET", "/photos/k?Signature=x").text == "hello")
        }
    }

    @Test func strangersAreTurnedAway() async throws {
        try await SignedRequestTests.withAuthentication { client in
            let anonymous = try client.ask("GET", "/2015-03-31/functions/f")
            #expect(anonymous.status == 403)
            #expect(anonymous.header("x-amzn-errortype") == "MissingAuthenticationTokenException")
            #expect(try client.ask("GET", "/photos/k").text.contains("<Code>AccessDenied</Code>"))
            let target = ["X-Amz-Target: Logs_20140328.CreateLogGroup", "Content-Type: application/x-amz-json-1.1"]
            #expect(try client.ask("POST", "/", headers: target, body: "{}").status == 400)
            func foreign(_ headers: [String]) -> [String] {
                headers.map { line in
                    line.hasPrefix("Auth") ? line.split(separator: "AKIDEXAMPLE").joined(separator: "AKIDNOBODY") : line
                }
            }
            let put = try client.ask("PUT", "/photos/k", headers: foreign(SignedRequestTests.put), body: "hello")
            #expect(put.text.contains("<Code>InvalidAccessKeyId</Code>"))
            let function = try client.ask(
                "GET", "/2015-03-31/functions/f", headers: foreign(SignedRequestTests.lambda))
            #expect(function.header("x-amzn-errortype") == "UnrecognizedClientException")
            let broken = try client.ask(
                "GET", "/2015-03-31/functions/f", headers: ["Authorization: AWS4-HMAC-SHA256 Credential=x"])
            #expect((400..<500).contains(broken.status))
        }
    }

    /// Users' hosts take signatures for the service that AWS has behind such hosts, and for no other.
    @Test(arguments: [
        (
            "lambda-url", "lambda", "execute-api", "5f07e9ed9b9343774813e50dc0c9a2ac58f5ff72c583f2d92acb310119bb1882"
        ),
        (
            "execute-api", "execute-api", "lambda",
            "ee6796b75b2935cebbebf10daec35e93918a0e4f0463e169afec3300b67a6429"
        ),
    ])
    func doorsWantTheirOwnScope(label: String, service: String, other: String, signature: String) async throws {
        struct WhoAsks: HTTPDoor {
            let label: String
            let bodyLimit = 10
            func respond(to request: DoorRequest, _ completion: @escaping @Sendable (DoorResponse) -> Void) {
                let failure = request.signatureFailure.map { "\($0.status) \($0.code) \($0.message)" }
                let text = failure ?? request.context.principal.arn
                completion(DoorResponse(status: 200, headers: [], payload: .bytes(ByteBuffer(string: text))))
            }
        }
        let host = "abc.\(label).us-east-1.localhost:4566"
        let right = Self.authorization("us-east-1/\(service)", "host;x-amz-date", signature)
        let wrong = Self.authorization("us-east-1/\(other)", "host;x-amz-date", signature)
        try await TinyServices.with(
            authentication: .sigv4, time: ManualTime(), credentials: OneKey(), doors: [WhoAsks(label: label)]
        ) { client in
            let answer = try client.ask("GET", "/x", host: host, headers: right)
            #expect(answer.text == "arn:aws:iam::123456789012:root")
            let text = "403 InvalidSignatureException Credential should be scoped to correct service: '\(service)'. "
            #expect(try client.ask("GET", "/x", host: host, headers: wrong).text == text)
            #expect(try client.ask("GET", "/_aws/\(label)/abc/x", headers: wrong).text == text)
        }
        // Without authentication whoever says who he is, is.
        try await TinyServices.with(doors: [WhoAsks(label: label)]) { client in
            let answer = try client.ask("GET", "/x", host: host, headers: wrong)
            #expect(answer.text == "arn:aws:iam::000000000000:root")
        }
    }

    @Test func withoutAuthenticationTheScopeStillSpeaks() async throws {
        try await TinyServices.with { client in
            let headers = [
                "X-Amz-Date: 20261123T060000Z",
                "Authorization: AWS4-HMAC-SHA256 Credential=222233334444/20261123/us-east-2/lambda/aws4_request, "
                    + "SignedHeaders=host;x-amz-date, Signature=00",
            ]
            let function = try client.ask("GET", "/2015-03-31/functions/f", headers: headers)
            #expect(function.text.contains("222233334444 us-east-2 "))
            let foreign = headers.map { $0.split(separator: "/lambda/").joined(separator: "/dynamodb/") }
            let unknown = try client.ask("GET", "/", headers: foreign)
            #expect(unknown.status == 501)
            #expect(unknown.text.contains("dynamodb"))
            let nonsense = try client.ask(
                "GET", "/2015-03-31/functions/f", headers: ["Authorization: AWS4-HMAC-SHA256"])
            #expect(nonsense.status == 200)
            let body = try client.ask("PUT", "/photos/k", headers: SignedRequestTests.put, body: "jello")
            #expect(body.text.contains("<Code>XAmzContentSHA256Mismatch</Code>"))
        }
    }

    @Test func awsChunkedFramingIsRemoved() async throws {
        try await TinyServices.with { client in
            let headers = [
                "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length: 5",
                "x-amz-trailer: x-amz-checksum-crc32", "Content-Encoding: aws-chunked",
            ]
            let good = "3\r\nhel\r\n2\r\nlo\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
            #expect(try client.ask("PUT", "/photos/k", headers: headers, body: good).header("etag") == "photos|k|5")
            let bad = good.split(separator: "NhCmhg").joined(separator: "NhCmhA")
            #expect(try client.ask("PUT", "/photos/k", headers: headers, body: bad).status == 400)
            let cut = String(good.prefix(12))
            let answer = try client.ask("PUT", "/photos/k", headers: headers, body: cut)
            #expect(answer.status == 400)
            #expect(answer.text.contains("<Code>IncompleteBody</Code>"))
        }
    }
}
