import Crypto
import Glibc
import NIOCore
import Platform
import Testing

@testable import Wire

@Suite struct SigningTests {
    private func verify(
        _ head: RequestHead, hash: String?, secret: String? = nil, now: Instant = SignedVector.now
    ) throws -> SignedRequest {
        let signed = try #require(try SigV4.parse(head))
        _ = try SigV4.verify(
            head, signed: signed, secret: secret.map { Secret($0) } ?? SignedVector.secret, payloadHash: hash, now: now,
            forS3: SigV4.isS3(signed.scope.service))
        return signed
    }

    private func vector(_ name: String) throws -> SignedVector {
        try #require(SignedVector.all.first { $0.name == name })
    }

    // MARK: What botocore signs

    @Test(arguments: SignedVector.all) func acceptsWhatBotocoreSigned(_ vector: SignedVector) throws {
        let signed = try verify(vector.head, hash: vector.bodyHash.isEmpty ? nil : bodyHash(vector))
        #expect(signed.scope.accessKeyID == SignedVector.accessKey)
        #expect(signed.scope.region == "eu-west-1" && signed.scope.service == vector.service)
        #expect(signed.isPresigned == vector.name.contains("presigned"))
        #expect(
            signed.sessionToken
                == (vector.name.contains("token") || vector.name == "s3 presigned get"
                    ? SignedVector.token : nil))
    }

    /// The body of aws-chunked and presigned requests is not covered by its hash.
    private func bodyHash(_ vector: SignedVector) -> String? {
        vector.name.contains("trailer") || vector.name.hasPrefix("s3 presigned") ? nil : vector.bodyHash
    }

    @Test(arguments: SignedVector.all) func refusesAnyChange(_ vector: SignedVector) throws {
        let hash = bodyHash(vector)
        let signed = try verify(vector.head, hash: hash)
        var changed: [RequestHead] = []
        var head = vector.head
        head.method = "DELETE"
        changed.append(head)
        head = vector.head
        head.path += "x"
        changed.append(head)
        head = vector.head
        head.query += head.query.isEmpty ? "a=b" : "&a=b"
        changed.append(head)
        for index in vector.head.headers.indices where signed.signedHeaders.contains(vector.head.headers[index].name) {
            if vector.head.headers[index].name == "x-amz-date" { continue }
            head = vector.head
            head.headers[index].value += "x"
            changed.append(head)
        }
        for head in changed { #expect(throws: AWSError.self) { try verify(head, hash: hash) } }
        #expect(throws: AWSError.self) { try verify(vector.head, hash: hash, secret: "another") }
        if let hash {
            let other = String(hash.dropLast()) + (hash.hasSuffix("0") ? "1" : "0")
            #expect(throws: AWSError.self) { try verify(vector.head, hash: other) }
        }
        // Each digit of the signature counts.
        for index in signed.signature.indices {
            var copy = signed
            let digit = copy.signature[index] == "0" ? "1" : "0"
            copy.signature.replaceSubrange(index...index, with: digit)
            #expect(throws: AWSError.self) {
                _ = try SigV4.verify(
                    vector.head, signed: copy, secret: SignedVector.secret, payloadHash: hash, now: SignedVector.now,
                    forS3: SigV4.isS3(vector.service))
            }
        }
    }

    @Test func officialVectors() throws {
        guard let root = getenv("MARTLET_SIGV4_VECTORS").map({ String(cString: $0) }) else {
            print("skipped: MARTLET_SIGV4_VECTORS does not name botocore's tests/unit/auth/aws4_testsuite")
            return
        }
        var count = 0
        for request in try files(under: root, suffix: ".req") {
            let authorization = try text(String(request.dropLast(4)) + ".authz")
            var (head, body) = rawRequest(try text(request), authorization)
            // This one's token is added by the signer.
            if request.contains("get-vanilla-with-session-token") {
                let signed = rawRequest(try text(String(request.dropLast(4)) + ".sreq"), authorization).0
                head.headers += signed.headers.filter { $0.name == "x-amz-security-token" }
            }
            let signed = try #require(try SigV4.parse(head))
            #expect(throws: Never.self, "\(request)") {
                _ = try SigV4.verify(
                    head, signed: signed, secret: SignedVector.secret,
                    payloadHash: hexEncoded(SHA256.hash(data: Array(body.utf8))),
                    now: Instant(iso8601: "20150830T123600Z") ?? SignedVector.now, forS3: false)
            }
            #expect(signed.scope.service == "service")
            count += 1
        }
        #expect(count >= 30)
    }

    private func rawRequest(_ text: String, _ authorization: String) -> (RequestHead, body: String) {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let first = lines.removeFirst()
        let target = first.dropFirst(first.prefix { $0 != " " }.count + 1).dropLast(" HTTP/1.1".count)
        var head = RequestHead(method: String(first.prefix { $0 != " " }), path: "", query: "", headers: [])
        let mark = target.firstIndex(of: "?") ?? target.endIndex
        head.path = String(target[..<mark])
        head.query = String(target[mark...].dropFirst())
        while let line = lines.first, !line.isEmpty {
            lines.removeFirst()
            if line.hasPrefix(" "), !head.headers.isEmpty {
                head.headers[head.headers.count - 1].value += "\n" + line
            } else {
                let colon = line.firstIndex(of: ":") ?? line.endIndex
                head.headers.append((line[..<colon].lowercased(), String(line[colon...].dropFirst())))
            }
        }
        head.headers.append(("authorization", authorization))
        return (head, lines.dropFirst().joined(separator: "\n"))
    }

    private func text(_ path: String) throws -> String {
        let file = try #require(fopen(path, "r"), "\(path)")
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }

    private func files(under path: String, suffix: String) throws -> [String] {
        let directory = try #require(opendir(path), "\(path)")
        defer { closedir(directory) }
        var found: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasPrefix(".") { continue }
            let full = path + "/" + name
            if Int32(entry.pointee.d_type) == Int32(DT_DIR) {
                found += try files(under: full, suffix: suffix)
            } else if name.hasSuffix(suffix) {
                found.append(full)
            }
        }
        return found
    }

    // MARK: Time

    @Test func clockSkew() throws {
        let (json, s3) = (try vector("json"), try vector("s3 subresource"))
        for offset in [-900, 900] {
            _ = try verify(json.head, hash: json.bodyHash, now: SignedVector.now + .seconds(offset))
            _ = try verify(s3.head, hash: s3.bodyHash, now: SignedVector.now + .seconds(offset))
        }
        let late = #expect(throws: AWSError.self) {
            try verify(json.head, hash: json.bodyHash, now: SignedVector.now + .seconds(901))
        }
        #expect(late?.code == "InvalidSignatureException" && late?.status == 400)
        #expect(
            late?.message
                == "Signature expired: 20261123T060000Z is now earlier than 20261123T060001Z (20261123T061501Z - 15 min.)"
        )
        let early = #expect(throws: AWSError.self) {
            try verify(json.head, hash: json.bodyHash, now: SignedVector.now - .seconds(901))
        }
        #expect(early?.message.hasPrefix("Signature not yet current: 20261123T060000Z is still later than ") == true)
        let skewed = #expect(throws: AWSError.self) {
            try verify(s3.head, hash: s3.bodyHash, now: SignedVector.now + .seconds(901))
        }
        #expect(skewed?.code == "RequestTimeTooSkewed" && skewed?.status == 403)
        let sts = try vector("query protocol")
        let query = #expect(throws: AWSError.self) {
            try verify(sts.head, hash: sts.bodyHash, now: SignedVector.now + .seconds(3600))
        }
        #expect(query?.code == "SignatureDoesNotMatch" && query?.status == 403)
    }

    @Test func presignedLifetime() throws {
        let get = try vector("s3 presigned get")
        _ = try verify(get.head, hash: nil, now: SignedVector.now + .seconds(900))
        let expired = #expect(throws: AWSError.self) {
            try verify(get.head, hash: nil, now: SignedVector.now + .seconds(901))
        }
        #expect(expired?.code == "AccessDenied" && expired?.message == "Request has expired" && expired?.status == 403)
        #expect(expired?.fields["X-Amz-Expires"] == "900")
        #expect(expired?.fields["Expires"] == "2026-11-23T06:15:00Z")
        let early = #expect(throws: AWSError.self) {
            try verify(get.head, hash: nil, now: SignedVector.now - .seconds(1000))
        }
        #expect(early?.code == "AccessDenied")
        let put = try vector("s3 presigned put")
        _ = try verify(put.head, hash: nil, now: SignedVector.now + .seconds(604_800))
        let sts = try vector("sts presigned")
        _ = try verify(sts.head, hash: nil, now: SignedVector.now + .seconds(60))
        #expect(throws: AWSError.self) { try verify(sts.head, hash: nil, now: SignedVector.now + .seconds(61)) }
    }

    // MARK: Errors

    @Test func s3Mismatch() throws {
        let list = try vector("s3 list with token")
        let error = #expect(throws: AWSError.self) { try verify(list.head, hash: nil, secret: "wrong") }
        #expect(error?.code == "SignatureDoesNotMatch" && error?.status == 403)
        #expect(
            error?.message == "The request signature we calculated does not match the signature you provided. Check "
                + "your key and signing method.")
        #expect(error?.fields["AWSAccessKeyId"] == .string(SignedVector.accessKey))
        #expect(
            error?.fields["CanonicalRequest"]?.string?.hasPrefix("GET\n/\ndelimiter=%2F&encoding-type=url&") == true)
        #expect(error?.fields["StringToSignBytes"]?.string?.hasPrefix("41 57 53 34 ") == true)
        let put = try vector("s3 subresource")
        let body = #expect(throws: AWSError.self) { try verify(put.head, hash: String(repeating: "0", count: 64)) }
        #expect(body?.code == "XAmzContentSHA256Mismatch" && body?.status == 400)
        var head = put.head
        head.headers.append(("x-amz-acl", "public-read"))
        let unsigned = #expect(throws: AWSError.self) { try verify(head, hash: put.bodyHash) }
        #expect(unsigned?.code == "AccessDenied" && unsigned?.fields["HeadersNotSigned"] == "x-amz-acl")
    }

    @Test func jsonMismatchShowsWhatWasExpected() throws {
        let rest = try vector("rest with token")
        let error = #expect(throws: AWSError.self) { try verify(rest.head, hash: rest.bodyHash, secret: "wrong") }
        #expect(error?.code == "InvalidSignatureException" && error?.status == 403)
        #expect(
            error?.message.hasPrefix(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                    + "Access Key and signing method. Consult the service documentation for details.") == true)
        #expect(error?.message.contains("arn%253Aaws%253Alambda") == true, "the path is escaped twice")
        #expect(error?.message.contains("Qualifier=%24LATEST&a=b%2Fc") == true)
    }

    private func head(_ authorization: String?, _ more: [(String, String)] = [], query: String = "") -> RequestHead {
        var headers: [(name: String, value: String)] = [("host", "localhost:4566")]
        if let authorization { headers.append(("authorization", authorization)) }
        headers += more.map { ($0.0, $0.1) }
        return RequestHead(method: "GET", path: "/", query: query, headers: headers)
    }

    @Test func requestsWithoutASignature() throws {
        #expect(try SigV4.parse(head(nil)) == nil)
        #expect(try SigV4.parse(head("Bearer AWS4-HMAC-SHA256")) == nil)
        #expect(try SigV4.parse(head("", query: "a=b&X-Amz-Other=1")) == nil)
        #expect(SigV4.missingAuthentication(head(nil), service: "s3").code == "AccessDenied")
        #expect(SigV4.missingAuthentication(head(nil), service: "lambda").code == "MissingAuthenticationTokenException")
        #expect(SigV4.missingAuthentication(head(nil), service: "sts").code == "MissingAuthenticationToken")
    }

    @Test(arguments: [
        (
            "AWS4-HMAC-SHA256 Credential=A/20261123/r/lambda/aws4_request, SignedHeaders=host, Signature=00",
            "IncompleteSignatureException", "Authorization header requires existence of either a 'X-Amz-Date' or"
        ),
        (
            "AWS4-HMAC-SHA256 SignedHeaders=host", "IncompleteSignatureException",
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter."
        ),
        (
            "AWS4-HMAC-SHA256 Credential= A/20261123/r/sts/aws4_request, SignedHeaders=host, Signature=00",
            "IncompleteSignature", "'A/20261123/r/sts/aws4_request' not a valid key=value pair (missing equal-sign) in "
        ),
        (
            "AWS4-HMAC-SHA256 Credential=A/20261123/r/sts, SignedHeaders=host, Signature=00", "IncompleteSignature",
            "Credential must have exactly 5 slash-delimited elements"
        ),
        (
            "AWS4-HMAC-SHA256 Credential=A/20261123/r/lambda/aws4, SignedHeaders=host, Signature=00",
            "IncompleteSignatureException", "Credential should be scoped with a valid terminator: 'aws4_request', not "
        ),
        (
            "AWS4-HMAC-SHA256 Credential=A/20261123/r/s3, SignedHeaders=host, Signature=00",
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the Credential is mal-formed; expecting"
        ),
        (
            "AWS4-HMAC-SHA256 Credential=A/20261123/r/s3/aws4_request, Signature=00", "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the authorization header requires three components: Credential, "
        ),
        (
            "AWS4-HMAC-SHA256 Credential=/20261123/r/s3/aws4_request, SignedHeaders=host, Signature=00",
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; a non-empty Access Key (AKID) must be provided"
        ),
        (
            "AWS4-ECDSA-P256-SHA256 Credential=A/20261123/s3/aws4_request, SignedHeaders=host, Signature=00",
            "IncompleteSignatureException", "Unsupported AWS 'algorithm'"
        ),
        ("AWS AKID:signature", "InvalidRequest", "The authorization mechanism you have provided is not supported."),
    ]) func malformedHeaders(_ authorization: String, _ code: String, _ text: String) throws {
        let hasDate = !text.contains("requires existence")
        let error = #expect(throws: AWSError.self) {
            _ = try SigV4.parse(head(authorization, hasDate ? [("x-amz-date", "20261123T060000Z")] : []))
        }
        #expect(error?.code == code)
        #expect(error?.message.hasPrefix(text) == true, "\(error?.message ?? "")")
    }

    @Test func malformedQueries() throws {
        let names = ["Algorithm", "Credential", "Signature", "Date", "SignedHeaders", "Expires"]
        let values = [
            "AWS4-HMAC-SHA256", "A%2F20261123%2Fr%2Fs3%2Faws4_request", "00", "20261123T060000Z", "host", "60",
        ]
        func query(_ change: Int, _ value: String?) -> String {
            names.indices.compactMap { index in
                (index == change ? value : values[index]).map { "X-Amz-\(names[index])=\($0)" }
            }.joined(separator: "&")
        }
        #expect(try SigV4.parse(head(nil, query: query(-1, nil)))?.expiresSeconds == 60)
        let bad: [(Int, String?)] =
            names.indices.map { ($0, nil) } + [
                (0, "AWS4-ECDSA"), (1, "A%2Fb"), (3, "2026-11-23T06:00:00Z"), (3, "x"), (5, "abc"), (5, "-1"),
                (5, "604801"), (5, "99999999999999999999"), (4, ""),
            ]
        for (index, value) in bad {
            let error = #expect(throws: AWSError.self, "\(index) \(value ?? "missing")") {
                _ = try SigV4.parse(head(nil, query: query(index, value)))
            }
            // Without its credential nothing says that it is for S3.
            if index != 1 || value != nil, value != "A%2Fb" {
                #expect(error?.code == "AuthorizationQueryParametersError")
                #expect(error?.status == 400)
            }
        }
    }

    @Test func unreadableDateAndWrongDay() throws {
        func signed(_ service: String, day: String) -> String {
            "AWS4-HMAC-SHA256 Credential=A/\(day)/r/\(service)/aws4_request, SignedHeaders=host, Signature=00"
        }
        for (service, code) in [("s3", "AccessDenied"), ("lambda", "IncompleteSignatureException")] {
            let error = #expect(throws: AWSError.self) {
                try verify(head(signed(service, day: "20261123"), [("x-amz-date", "yesterday")]), hash: nil)
            }
            #expect(error?.code == code)
        }
        let wrong = #expect(throws: AWSError.self) {
            try verify(head(signed("lambda", day: "20261122"), [("x-amz-date", "20261123T060000Z")]), hash: nil)
        }
        #expect(
            wrong?.message == "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
                + "HTTP: '20261122' != '20261123', from '20261123T060000Z'.")
        let date = try SigV4.parse(
            head(signed("lambda", day: "20261123"), [("date", "Mon, 23 Nov 2026 06:00:00 GMT")]))
        #expect(date?.signedAt == SignedVector.now)
    }

    @Test func contentHashForms() throws {
        func integrity(_ value: String) throws -> BodyIntegrity {
            try SigV4.bodyIntegrity(head(nil, [("x-amz-content-sha256", value)]), signed: nil)
        }
        #expect(try integrity("UNSIGNED-PAYLOAD") == .unsigned)
        #expect(try integrity("STREAMING-UNSIGNED-PAYLOAD-TRAILER") == .unsignedChunks)
        #expect(try integrity("STREAMING-AWS4-HMAC-SHA256-PAYLOAD") == .signedChunks(trailer: false))
        #expect(try integrity("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER") == .signedChunks(trailer: true))
        #expect(try integrity(SigV4.emptyHash.uppercased()) == .digest(SigV4.emptyHash))
        for bad in ["", "abc", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", String(SigV4.emptyHash.dropLast()) + "g"] {
            let error = #expect(throws: AWSError.self) { _ = try integrity(bad) }
            #expect(error?.code == "InvalidArgument")
        }
        #expect(try SigV4.bodyIntegrity(head(nil), signed: nil) == .unsigned)
        var put = try vector("s3 subresource").head
        put.headers.removeAll { $0.name == "x-amz-content-sha256" }
        let parsed = try SigV4.parse(put)
        let missing = #expect(throws: AWSError.self) { _ = try SigV4.bodyIntegrity(put, signed: parsed) }
        #expect(missing?.code == "InvalidRequest")
    }

    @Test func anyAuthorizationIsSurvived() throws {
        var generator = WireGenerator(seed: 77)
        let parts = [
            "AWS4-HMAC-SHA256", " ", ",", "=", "/", "Credential=", "SignedHeaders=", "Signature=", "A", "s3", ";", "%",
            "%2", "\u{0}", "é", "aws4_request", "20261123", "\t", "AWS4-",
        ]
        for _ in 0..<5000 {
            var text = "AWS4-HMAC-SHA256 "
            var query = ""
            for _ in 0..<Int.random(in: 0...20, using: &generator) {
                text += parts[Int.random(in: 0..<parts.count, using: &generator)]
                query +=
                    (Bool.random(using: &generator) ? "&X-Amz-Credential=" : "%")
                    + parts[Int.random(in: 0..<parts.count, using: &generator)]
            }
            for head in [
                head(text, [("x-amz-date", "20261123T060000Z")]), head(nil, query: query + "&X-Amz-Signature=1"),
            ] {
                guard let signed = try? SigV4.parse(head) else { continue }
                #expect(throws: AWSError.self) {
                    _ = try SigV4.verify(
                        head, signed: signed, secret: Secret("s"), payloadHash: nil, now: SignedVector.now, forS3: false
                    )
                }
            }
        }
    }
}

extension SignedVector: CustomTestStringConvertible {
    var testDescription: String { name }
}

/// SplitMix64.
struct WireGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
