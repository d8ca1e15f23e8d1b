import Platform
import Testing

@testable import Wire

/// URLs that botocore 1.43 presigned at 2026-11-23T06:00:00Z for 600 seconds; the path with the bucket in it.
private struct PresignedVector: Sendable, CustomTestStringConvertible {
    var name: String
    var method = "GET"
    var path = "/photos/k"
    var before = ""
    var signature: String
    var after = ""
    var headers: [(name: String, value: String)] = []

    var testDescription: String { name }

    var head: RequestHead {
        let parts = [before, "AWSAccessKeyId=\(SignedVector.accessKey)&Signature=\(signature)", after]
        return RequestHead(
            method: method, path: path,
            query: (parts.filter { !$0.isEmpty } + ["Expires=1795414200"]).joined(separator: "&"),
            headers: [(name: "host", value: "localhost:4566")] + headers)
    }

    static let list = "list-type=2&prefix=a%2Fb&encoding-type=url"
    static let meta = PresignedVector(
        name: "put with headers", method: "PUT", signature: "XdOhPBLQI4RWTnK4V1LFZ2t4EuM%3D",
        after: "x-amz-meta-foo=%20b%20a%20r%20&x-amz-meta-zed=1&content-type=text%2Fplain&content-md5="
            + "XUFAKrxLKna5cZ2REBfFkg%3D%3D&x-amz-acl=public-read&x-amz-storage-class=STANDARD_IA",
        headers: [
            (name: "content-type", value: "text/plain"), (name: "content-md5", value: "XUFAKrxLKna5cZ2REBfFkg=="),
        ])
    static let token = PresignedVector(
        name: "token", method: "HEAD", before: "versionId=null", signature: "rAhNck1nAJzAtMd0X9fhgCr3A9U%3D",
        after: "x-amz-security-token=IQoJb3JpZ2luX2VjEPT%2F%2F%2F%2F%2F%2F%2F%2F%2F%2FwEaCXVz%2Btoken%3D")

    static let all = [
        PresignedVector(
            name: "escapes", path: "/photos/an%20object/%C3%A4%2Bb~%281%29",
            signature: "N8JygAbTq6HUqZ0X%2BbbC4lSRuhs%3D"),
        PresignedVector(
            name: "escapes that a proxy has changed", path: "/photos/an%20object/%c3%a4%2bb%7e(1)",
            signature: "N8JygAbTq6HUqZ0X%2BbbC4lSRuhs%3D"),
        PresignedVector(
            name: "list by path", path: "/photos", before: list, signature: "C1MWJy1SenFqM9S5spovWBQ4gSo%3D"),
        PresignedVector(
            name: "list by host", path: "/photos/", before: list, signature: "C1MWJy1SenFqM9S5spovWBQ4gSo%3D"),
        PresignedVector(name: "all buckets", path: "/", signature: "wqAZcHghiqFow9rBTZtIr5ob5eY%3D"),
        PresignedVector(
            name: "overrides",
            before: "response-content-type=text%2Fhtml%3B%20charset%3Dutf-8&response-content-disposition=attachment%3B"
                + "%20filename%3D%22%C3%A4%26b%3Dc.txt%22&response-cache-control=no-cache&versionId=v1",
            signature: "Bz%2BksrZ3zn6%2FCDb%2FKbAZxCq8WHw%3D"),
        PresignedVector(
            name: "part", method: "PUT", before: "uploadId=a%2Bb%2Fc%3D&partNumber=2",
            signature: "nqBC6ZxKwaaRaHbmElHBeLq36Jw%3D"),
        PresignedVector(
            name: "uploads", method: "POST", before: "uploads", signature: "clE1JhUTyDh2K3VlcGOXynLYEM4%3D"),
        PresignedVector(name: "acl", before: "acl", signature: "aQ6t8C8BDRW1xQF%2BUL3GIbrHUB0%3D"),
        PresignedVector(name: "acl with equals sign", before: "acl=", signature: "aQ6t8C8BDRW1xQF%2BUL3GIbrHUB0%3D"),
        PresignedVector(name: "put", method: "PUT", signature: "2OjuS1kTAxNxaT2nLmnGwmFg3S0%3D"),
        meta, token,
    ]
}

@Suite struct SigV2QueryTests {
    /// When the vectors expire.
    private static let end = Instant(iso8601: "20261123T061000Z") ?? Instant(nanoseconds: 0)

    private func verify(
        _ head: RequestHead, secret: Secret<String> = SignedVector.secret, now: Instant = SignedVector.now
    ) throws {
        let signed = try #require(try SigV2Query.parse(head))
        try SigV2Query.verify(head, signed: signed, secret: secret, now: now)
    }

    private func refusal(_ head: RequestHead, now: Instant = SignedVector.now) throws -> AWSError? {
        #expect(throws: AWSError.self) { try verify(head, now: now) }
    }

    private func head(_ query: String, path: String = "/photos/k") -> RequestHead {
        RequestHead(method: "GET", path: path, query: query, headers: [])
    }

    @Test(arguments: PresignedVector.all) fileprivate func acceptsWhatBotocoreSigned(_ vector: PresignedVector) throws {
        try verify(vector.head)
        let signed = try #require(try SigV2Query.parse(vector.head))
        #expect(signed.isVersion2 && signed.isPresigned && signed.scope.accessKeyID == SignedVector.accessKey)
        #expect(signed.expiresAt == SigV2QueryTests.end)
        #expect(signed.sessionToken == (vector.name == "token" ? SignedVector.token : nil))
        #expect(try SigV4.parse(vector.head) == nil)
    }

    /// The example of S3's first reference (2006), with its published key.
    @Test func acceptsTheReferencesExample() throws {
        let head = head(
            "AWSAccessKeyId=44CF9590006BF252F707&Expires=1141889120&Signature=vjbyPxybdZaNmGa%2ByT272YEAiv4%3D",
            path: "/quotes/nelson")
        try verify(
            head, secret: Secret("OtxrzxIsfpFjA7SwPzILwy8Bw21TLhquhboDYROV"), now: Instant(seconds: 1_141_889_060))
    }

    @Test(arguments: PresignedVector.all) fileprivate func refusesAnyChange(_ vector: PresignedVector) throws {
        var changed: [RequestHead] = []
        func change(_ body: (inout RequestHead) -> Void) {
            var head = vector.head
            body(&head)
            changed.append(head)
        }
        change { $0.method = "DELETE" }
        change { $0.path += "x" }
        change { $0.query = String($0.query.dropLast()) + "1" }
        change { $0.query += "&torrent" }
        change { $0.query += "&response-content-type=text%2Fhtml" }
        change { $0.query += "&x-amz-acl=public-read-write" }
        change { $0.headers.append((name: "x-amz-acl", value: "public-read-write")) }
        change { $0.headers.insert((name: "content-type", value: "text/html"), at: 0) }
        change { $0.headers.insert((name: "content-md5", value: "AAAA"), at: 0) }
        change { $0.query = "Signature=AAAA&" + $0.query }
        for head in changed {
            let error = try refusal(head)
            #expect(error?.code == "SignatureDoesNotMatch" && error?.status == 403, "\(head)")
        }
        #expect(throws: AWSError.self) { try verify(vector.head, secret: Secret("another")) }
    }

    @Test func headersCountOnceWhereverTheyAre() throws {
        var moved = PresignedVector.meta.head
        moved.headers += [
            (name: "x-amz-meta-foo", value: "b a r"), (name: "x-amz-meta-zed", value: "1"),
            (name: "x-amz-acl", value: "public-read"), (name: "x-amz-storage-class", value: "STANDARD_IA"),
        ]
        try verify(moved)
        // Content-Type is signed as it is sent; that it is among the parameters too does not stand in for it.
        var without = PresignedVector.meta.head
        without.headers.removeAll { $0.name == "content-type" }
        #expect(try refusal(without)?.code == "SignatureDoesNotMatch")
    }

    @Test func noValueReachesIntoTheNextLine() throws {
        let signed = "x-amz-acl=private&x-amz-meta-a=1"
        let merged = "x-amz-acl=private%0Ax-amz-meta-a:1"
        let key = "&AWSAccessKeyId=A&Signature=0&Expires=1795414200"
        #expect(SigV2Query.stringsToSign(head(signed + key)) != SigV2Query.stringsToSign(head(merged + key)))
        let text = SigV2Query.stringsToSign(head("x-amz-acl=%20a%20%0D%0A%20b%20&x-amz-x%3A=1&x-amz-y%0A=1" + key))
            .first
        #expect(
            String(decoding: text ?? [], as: UTF8.self) == "GET\n\n\n1795414200\nx-amz-acl:a b\n/photos/k")
    }

    @Test func mismatchShowsWhatWasExpected() throws {
        var head = PresignedVector.token.head
        head.method = "GET"
        let error = try refusal(head)
        #expect(
            error?.message == "The request signature we calculated does not match the signature you provided. Check "
                + "your key and signing method.")
        #expect(
            error?.fields["StringToSign"]
                == .string(
                    "GET\n\n\n1795414200\nx-amz-security-token:\(SignedVector.token)\n/photos/k?versionId=null"))
        #expect(error?.fields["AWSAccessKeyId"] == .string(SignedVector.accessKey))
        #expect(error?.fields["SignatureProvided"] == "rAhNck1nAJzAtMd0X9fhgCr3A9U=")
        #expect(error?.fields["StringToSignBytes"]?.string?.hasPrefix("47 45 54 0a ") == true)
        #expect(error?.fields["CanonicalRequest"] == nil)
    }

    @Test func expires() throws {
        let put = PresignedVector.meta.head
        try verify(put, now: SigV2QueryTests.end)
        let late = try refusal(put, now: SigV2QueryTests.end + .seconds(1))
        #expect(late?.code == "AccessDenied" && late?.status == 403 && late?.message == "Request has expired")
        #expect(late?.fields["Expires"] == "2026-11-23T06:10:00Z")
        #expect(late?.fields["ServerTime"] == "2026-11-23T06:10:01Z")
        for past in ["0", "-1", "\(Int.min)", "1795413599"] {
            let error = try refusal(head("AWSAccessKeyId=A&Signature=0&Expires=\(past)"))
            #expect(error?.message == "Request has expired", "\(past)")
        }
    }

    @Test(arguments: ["soon", "1795414200.5", "2147483648", "99999999999999999999999", "0x10", "1 "])
    func malformedExpires(_ value: String) throws {
        let query = "AWSAccessKeyId=A&Signature=0&Expires=\(value == "1 " ? "1%20" : value)"
        let error = #expect(throws: AWSError.self) { _ = try SigV2Query.parse(head(query)) }
        #expect(error?.code == "AccessDenied" && error?.status == 403)
        #expect(error?.message == "Invalid date (should be seconds since epoch): \(value)")
    }

    @Test(arguments: [
        "AWSAccessKeyId=A&Signature=0", "AWSAccessKeyId=A&Expires=1", "Signature=0&Expires=1", "Signature=0",
        "AWSAccessKeyId=&Signature=0&Expires=1", "AWSAccessKeyId=A&Signature=&Expires=1",
        "AWSAccessKeyId=A&Signature=0&Expires=", "AWSAccessKeyId=A&Signature=0&expires=1", "Signature",
    ]) func missingParameters(_ query: String) throws {
        let error = #expect(throws: AWSError.self) { _ = try SigV2Query.parse(head(query)) }
        #expect(error?.code == "AccessDenied" && error?.status == 403)
        #expect(
            error?.message
                == "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
    }

    @Test func otherQueriesAreNot() throws {
        for query in ["", "acl", "Expires=1", "signature=0", "awsaccesskeyid=A", "X-Amz-Signature=0"] {
            #expect(try SigV2Query.parse(head(query)) == nil)
        }
        var both = head("Signature=0")
        both.headers = [
            (
                name: "authorization",
                value: "AWS4-HMAC-SHA256 Credential=A/20261123/r/s3/aws4_request, SignedHeaders=host, Signature=00"
            ), (name: "x-amz-date", value: "20261123T060000Z"),
        ]
        let error = #expect(throws: AWSError.self) { _ = try SigV4.parse(both) }
        #expect(error?.code == "InvalidArgument" && error?.message.hasPrefix("Only one auth mechanism allowed") == true)
    }

    @Test func anyQueryIsSurvived() throws {
        var generator = WireGenerator(seed: 78)
        let parts = [
            "AWSAccessKeyId", "Signature", "Expires", "=", "&", "%", "%0", "%00", "%ff", "x-amz-", "X-AMZ-A", "acl",
            "é",
            "uploadId", "1", "?", "/", "\n", "+",
        ]
        for _ in 0..<5000 {
            var texts = ["/", "AWSAccessKeyId=A&Signature=0&Expires=1795414200&"]
            for index in texts.indices {
                for _ in 0..<Int.random(in: 0...20, using: &generator) {
                    texts[index] += parts[Int.random(in: 0..<parts.count, using: &generator)]
                }
            }
            #expect(throws: AWSError.self) { try verify(head(texts[1], path: texts[0])) }
        }
        #expect(!SigV2Query.stringsToSign(head("", path: "")).isEmpty)
    }
}
