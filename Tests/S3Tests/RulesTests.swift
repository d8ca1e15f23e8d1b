import Contracts
import NIOCore
import NIOEmbedded
import Platform
import Testing
import Wire

@testable import S3

@Suite struct PolicyConditions {
    private func conditions(_ uri: String, _ headers: [(name: String, value: String)] = []) -> [String: [String]] {
        let loop = NIOAsyncTestingEventLoop()
        let context = OperationContext(
            requestID: "R", service: "s3", operation: "ListObjectsV2",
            scope: AccountRegion(account: "000000000000", region: "us-east-1"), principal: .anonymous,
            now: Instant(milliseconds: 0), endpoint: "http://localhost", sourceIP: "127.0.0.1", headers: headers,
            uri: uri, eventLoop: loop, closed: loop.makeSucceededVoidFuture())
        return AccessRequest(context).conditions
    }

    @Test func theFirstOfANameCountsAsForTheOperation() {
        #expect(conditions("/b?list-type=2&prefix=a/&prefix=b/")["s3:prefix"] == ["a/"])
        #expect(conditions("/b?%70refix=a%2F+x&prefix=b/")["s3:prefix"] == ["a/ x"])
        #expect(conditions("/b?prefix&prefix=b/")["s3:prefix"] == [""])
        let dummies = String(repeating: "x=1&", count: 1_000)
        #expect(conditions("/b?\(dummies)prefix=a&versionId=v&versionId=w")["s3:prefix"] == ["a"])
        #expect(conditions("/b?versionId=v&versionId=w")["s3:versionid"] == ["v"])
        #expect(conditions("/b")["s3:prefix"] == nil)
        let headers = [(name: "x-amz-acl", value: "private"), (name: "x-amz-acl", value: "public-read")]
        #expect(conditions("/b", headers)["s3:x-amz-acl"] == ["private"])
    }
}

@Suite struct TagHeaders {
    private func code(_ count: Int) -> String? {
        do {
            _ = try TagSet(header: (0..<count).map { "k\($0)=v" }.joined(separator: "&"))
            return nil
        } catch { return error.code }
    }

    @Test func noMoreThanAnObjectHas() {
        #expect(code(10) == nil && code(11) == "BadRequest" && code(10_000) == "BadRequest")
    }
}

@Suite struct BucketNames {
    @Test(arguments: [
        "abc", "a.b-c", "my-bucket.example.com", "123", "0ab", String(repeating: "a", count: 63), "1.2.3.4.5", "1.2.3",
    ])
    func accepted(_ name: String) { #expect(BucketName.isValid(name)) }

    @Test(arguments: [
        "", "ab", String(repeating: "a", count: 64), "Abc", "a_b", "-ab", "ab-", ".ab", "ab.", "a..b", "192.168.5.4",
        "xn--abc", "sthree-abc", "amzn-s3-demo-x", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3", "äbc", "a b",
    ])
    func refused(_ name: String) { #expect(!BucketName.isValid(name)) }

    @Test func locations() throws {
        #expect(try BucketLocation.region(requestRegion: "us-east-1", constraint: nil) == "us-east-1")
        #expect(try BucketLocation.region(requestRegion: "us-east-1", constraint: "eu-west-1") == "eu-west-1")
        #expect(try BucketLocation.region(requestRegion: "us-east-1", constraint: "EU") == "eu-west-1")
        #expect(try BucketLocation.region(requestRegion: "eu-west-1", constraint: "eu-west-1") == "eu-west-1")
        #expect(try BucketLocation.region(requestRegion: "us-east-1", constraint: "us-gov-west-1") == "us-gov-west-1")
        func code(_ region: String, _ constraint: String?) -> String? {
            do {
                _ = try BucketLocation.region(requestRegion: region, constraint: constraint)
                return nil
            } catch { return error.code }
        }
        #expect(code("eu-west-1", nil) == "IllegalLocationConstraintException")
        #expect(code("eu-west-1", "us-west-2") == "IllegalLocationConstraintException")
        #expect(code("us-east-1", "us-east-1") == "InvalidLocationConstraint")
        #expect(code("us-east-1", "nowhere") == "InvalidLocationConstraint")
        #expect(code("us-east-1", "--1") == "InvalidLocationConstraint")
    }
}

@Suite struct ConditionRules {
    let modified = Instant(milliseconds: 1_000_000_000_000)
    let now = Instant(milliseconds: 1_100_000_000_000)
    var before: Instant { modified - .seconds(10) }
    var after: Instant { modified + .seconds(10) }

    private func outcome(
        match: String? = nil, none: String? = nil, since: Instant? = nil, unmodified: Instant? = nil
    ) -> ReadConditions.Outcome {
        ReadConditions(ifMatch: match, ifNoneMatch: none, ifModifiedSince: since, ifUnmodifiedSince: unmodified)
            .evaluate(etag: "abc", modified: modified, now: now)
    }

    @Test func tags() {
        #expect(outcome() == .proceed)
        #expect(outcome(match: "\"abc\"") == .proceed)
        #expect(outcome(match: "abc") == .proceed)
        #expect(outcome(match: "*") == .proceed)
        #expect(outcome(match: "\"x\", \"abc\"") == .proceed)
        #expect(outcome(match: "\"x\"") == .failed(condition: "If-Match"))
        #expect(outcome(none: "\"abc\"") == .notModified(condition: "If-None-Match"))
        #expect(outcome(none: "W/\"abc\"") == .notModified(condition: "If-None-Match"))
        #expect(outcome(none: "*") == .notModified(condition: "If-None-Match"))
        #expect(outcome(none: "\"x\"") == .proceed)
    }

    @Test func dates() {
        #expect(outcome(since: before) == .proceed)
        #expect(outcome(since: modified) == .notModified(condition: "If-Modified-Since"))
        #expect(outcome(since: modified + .milliseconds(400)) == .notModified(condition: "If-Modified-Since"))
        #expect(outcome(since: now + .seconds(5)) == .proceed, "a date in the future is ignored")
        #expect(outcome(unmodified: modified) == .proceed)
        #expect(outcome(unmodified: before) == .failed(condition: "If-Unmodified-Since"))
    }

    @Test func precedence() {
        #expect(outcome(match: "abc", unmodified: before) == .proceed, "a tag that matches overrules the date")
        #expect(outcome(none: "x", since: modified) == .proceed, "a tag that differs overrules the date")
        #expect(outcome(none: "abc", since: before) == .notModified(condition: "If-None-Match"))
        #expect(outcome(match: "x", none: "abc") == .failed(condition: "If-Match"), "412 comes before 304")
    }

    @Test func copySource() {
        let conditions = ReadConditions(ifMatch: nil, ifNoneMatch: "abc", ifModifiedSince: nil, ifUnmodifiedSince: nil)
        do {
            try conditions.checkCopySource(etag: "abc", modified: modified, now: now)
            Issue.record("a matching If-None-Match must fail a copy")
        } catch {
            #expect(error.status == 412)
            #expect(error.fields["Condition"]?.string == "x-amz-copy-source-If-None-Match")
        }
    }

    @Test func writes() throws {
        let absent = try WriteConditions(ifMatch: nil, ifNoneMatch: "*")
        try absent.check(currentETag: nil, key: "k")
        #expect(throws: S3Error.preconditionFailed("If-None-Match")) { try absent.check(currentETag: "a", key: "k") }
        let match = try WriteConditions(ifMatch: "\"a\"", ifNoneMatch: nil)
        try match.check(currentETag: "a", key: "k")
        #expect(throws: S3Error.preconditionFailed("If-Match")) { try match.check(currentETag: "b", key: "k") }
        #expect(throws: S3Error.noSuchKey("k")) { try match.check(currentETag: nil, key: "k") }
        #expect(throws: AWSError.self) { try WriteConditions(ifMatch: nil, ifNoneMatch: "\"a\"") }
        #expect(throws: AWSError.self) { try WriteConditions(ifMatch: "a", ifNoneMatch: "*") }
    }
}

@Suite struct Ranges {
    @Test(
        arguments: [
            ("bytes=0-0", 10, ByteRange.part(first: 0, last: 0)),
            ("bytes=2-5", 10, .part(first: 2, last: 5)),
            ("bytes=2-", 10, .part(first: 2, last: 9)),
            ("bytes=-3", 10, .part(first: 7, last: 9)),
            ("bytes=-30", 10, .part(first: 0, last: 9)),
            ("bytes=5-100", 10, .part(first: 5, last: 9)),
            ("bytes=9-99999999999999999999999", 10, .part(first: 9, last: 9)),
            ("bytes=10-", 10, .unsatisfiable),
            ("bytes=10-12", 10, .unsatisfiable),
            ("bytes=-0", 10, .unsatisfiable),
            ("bytes=0-", 0, .unsatisfiable),
            ("bytes=-1", 0, .unsatisfiable),
            ("bytes=99999999999999999999999-", 10, .unsatisfiable),
            ("bytes=5-2", 10, .whole),
            ("bytes=0-1,3-4", 10, .whole),
            ("bytes=a-b", 10, .whole),
            ("bytes=-", 10, .whole),
            ("bytes=--1", 10, .whole),
            ("bytes=+1-2", 10, .whole),
            ("lines=0-1", 10, .whole),
            ("", 10, .whole),
        ] as [(String, Int64, ByteRange)])
    func parse(_ header: String, size: Int64, expected: ByteRange) {
        #expect(ByteRange(header: header, size: size) == expected)
    }

    @Test func copySource() throws {
        let bounds = try ByteRange.copySource("bytes=0-9", size: 10)
        #expect(bounds == (0, 9))
        for bad in ["bytes=0-10", "bytes=5-4", "bytes=0-", "bytes=-4", "0-4", "bytes=a-b", ""] {
            #expect(throws: AWSError.self) { try ByteRange.copySource(bad, size: 10) }
        }
    }
}

@Suite struct Encoding {
    @Test func form() {
        #expect(FormEncoding.encode("a b/ü@+~*-._%".utf8) == "a+b/%C3%BC%40%2B%7E*-._%25")
        #expect(FormEncoding.encodePath("a b/+~".utf8) == "a%20b/%2B~")
        #expect(FormEncoding.decodePercent("a%20b%2Fc%C3%BC") == "a b/cü")
        #expect(FormEncoding.decodePercent("%") == nil)
        #expect(FormEncoding.decodePercent("%2") == nil)
        #expect(FormEncoding.decodePercent("%zz") == nil)
        #expect(FormEncoding.decodePercent("%ff") == nil, "not UTF-8")
    }

    @Test func copySources() {
        #expect(CopySource("b/k") == CopySource("/b/k"))
        #expect(CopySource("/b/dir/k%20x?versionId=v1")?.key == "dir/k x")
        #expect(CopySource("/b/dir/k%20x?versionId=v1")?.versionID == "v1")
        #expect(CopySource("b%2Fk")?.bucket == "b")
        for bad in ["", "/", "b", "b/", "/b/", "//k", "b/%zz"] { #expect(CopySource(bad) == nil) }
    }

    @Test func chunkedIsNoEncodingOfTheObject() {
        #expect(ObjectHeaders.withoutChunking("aws-chunked") == nil)
        #expect(ObjectHeaders.withoutChunking("gzip, aws-chunked") == "gzip")
        #expect(ObjectHeaders.withoutChunking("aws-chunked,gzip,br") == "gzip,br")
        #expect(ObjectHeaders.withoutChunking(nil) == nil)
    }

    @Test func pageTokens() throws {
        #expect(try ContinuationToken.decode(ContinuationToken.encode(Array("a/ü".utf8))) == Array("a/ü".utf8))
        for bad in ["", "!", "YWJj", ContinuationToken.encode(Array(repeating: 65, count: 2000))] {
            #expect(throws: AWSError.self) { try ContinuationToken.decode(bad) }
        }
    }
}
