import Contracts
import Platform
import Synchronization
import Testing
import Wire

@testable import S3

@Suite struct Lifecycle {
    private static let day: Int64 = 86_400_000
    private func instant(_ days: Double) -> Instant { Instant(milliseconds: Int64(days * Double(Self.day))) }

    private func rules(_ rules: [Value]) throws -> LifecycleRules {
        try LifecycleRules(rules.map { S3.Model.LifecycleRule($0) })
    }

    private func error(_ rule: Value) -> String? {
        do {
            _ = try rules([rule])
            return nil
        } catch { return (error as? AWSError)?.code }
    }

    @Test func dueAtMidnightAfterTheDays() {
        #expect(LifecycleRules.due(instant(10.5), days: 1) == instant(12))
        #expect(LifecycleRules.due(instant(10), days: 1) == instant(11))
        #expect(LifecycleRules.due(instant(10.999), days: 30) == instant(41))
        #expect(LifecycleRules.due(instant(1), days: .max) == Instant(nanoseconds: .max))
    }

    @Test func filters() throws {
        let rules = try rules([
            [
                "ID": "r", "Status": "Enabled", "Expiration": ["Days": 1],
                "Filter": [
                    "And": [
                        "Prefix": "a/", "Tags": [["Key": "k", "Value": "v"]], "ObjectSizeGreaterThan": 10,
                        "ObjectSizeLessThan": 20,
                    ]
                ],
            ]
        ])
        func fits(_ key: String, _ size: Int64, _ tags: [TagSet.Tag]) -> Bool {
            rules.expiry(key: Array(key.utf8), size: size, tags: tags, modified: instant(0)) != nil
        }
        let tag = TagSet.Tag(key: "k", value: "v")
        #expect(fits("a/x", 15, [tag]))
        #expect(!fits("b/x", 15, [tag]))
        #expect(!fits("a/x", 10, [tag]) && !fits("a/x", 20, [tag]) && fits("a/x", 19, [tag]))
        #expect(!fits("a/x", 15, []) && !fits("a/x", 15, [.init(key: "k", value: "w")]))
        #expect(rules.needsTags)
    }

    @Test func refusals() {
        #expect(error(["Status": "Enabled", "Filter": [:]]) == "InvalidRequest")
        #expect(
            error(["Status": "Enabled", "Filter": [:], "Expiration": ["Days": 1, "Date": .timestamp(instant(1))]])
                == "MalformedXML")
        #expect(error(["Status": "Enabled", "Filter": [:], "Expiration": ["Days": -1]]) == "InvalidArgument")
        #expect(
            error(["Status": "Enabled", "Filter": [:], "Expiration": ["Date": .timestamp(instant(1.5))]])
                == "InvalidArgument")
        #expect(
            error(["Status": "Enabled", "Prefix": "a", "Filter": [:], "Expiration": ["Days": 1]]) == "MalformedXML")
        #expect(error(["Status": "Enabled", "Prefix": "", "Expiration": ["Days": 1]]) == nil)
        let tags = (0..<11).map { number -> Value in ["Key": .string("k\(number)"), "Value": "v"] }
        func tagged(_ count: Int) -> Value {
            [
                "Status": "Enabled", "Filter": ["And": ["Tags": .list(Array(tags.prefix(count)))]],
                "Expiration": ["Days": 1],
            ]
        }
        #expect(error(tagged(10)) == nil && error(tagged(11)) == "MalformedXML")
    }

    private final class Runs: Sendable {
        private let number = Mutex(0)
        var count: Int { number.withLock { $0 } }
        func add() -> Int {
            number.withLock { number in
                number += 1
                return number
            }
        }
    }

    @Test func whatIsChangedDuringARunIsNotPutOffByItsEnd() async throws {
        let time = ManualTime()
        let schedule = LifecycleSchedule(time: time)
        let runs = Runs()
        schedule.start { [weak schedule] in
            if runs.add() == 1 { schedule?.changed() }
            return true
        }
        time.advance(by: .seconds(30))
        // Seconds, far from midnight.
        for _ in 0..<500 where runs.count < 2 {
            try await Task.sleep(for: .milliseconds(10))
            time.advance(by: .seconds(1))
        }
        #expect(runs.count == 2)
        schedule.stop()
    }

    @Test func aFailedRunIsRepeatedBeforeMidnight() async throws {
        let time = ManualTime()
        let schedule = LifecycleSchedule(time: time)
        let runs = Runs()
        schedule.start { runs.add() > 1 }
        time.advance(by: .seconds(30))
        for _ in 0..<500 where runs.count < 2 {
            try await Task.sleep(for: .milliseconds(10))
            time.advance(by: .seconds(60))
        }
        #expect(runs.count == 2)
        schedule.stop()
    }

    private func entry(
        _ key: String, _ rank: Int64, marker: Bool = false, latest: Bool = false, superseded: Double? = nil,
        modified: Double = 0
    ) -> VersionEntry {
        VersionEntry(
            keyBytes: Array(key.utf8), rank: rank, version: VersionID.make(rank: rank), isMarker: marker,
            isLatest: latest, superseded: superseded.map { instant($0) }, id: "\(key)\(rank)", size: 1, etag: "",
            modified: instant(modified), storageClass: "STANDARD")
    }

    @Test func versionsThatGo() throws {
        let rules = try rules([
            [
                "Status": "Enabled", "Filter": [:], "Expiration": ["ExpiredObjectDeleteMarker": true],
                "NoncurrentVersionExpiration": ["NoncurrentDays": 10, "NewerNoncurrentVersions": 1],
            ]
        ])
        let page = [
            entry("a", 1, latest: true), entry("a", 2, superseded: 1), entry("a", 3, superseded: 1),
            entry("a", 4, superseded: 95), entry("b", 1, marker: true, latest: true),
            entry("c", 1, marker: true, latest: true), entry("c", 2, superseded: 99),
            entry("d", 9, marker: true, latest: true),
        ]
        // One page, and every other way to cut it, decide alike.
        for cut in 0...page.count {
            var machine = LifecycleMachine(rules, now: instant(100))
            let actions =
                machine.visit(Array(page[..<cut]), isLast: false) + machine.visit(Array(page[cut...]), isLast: true)
            #expect(
                actions == [
                    .remove(key: Array("a".utf8), version: page[2].versionText),
                    .remove(key: Array("b".utf8), version: page[4].versionText),
                    .remove(key: Array("d".utf8), version: page[7].versionText),
                ], "cut at \(cut)")
        }
    }

    @Test func carriedOut() async throws {
        let harness = try Harness()
        try await harness.makeBucket()
        try await harness.call(
            "PutBucketNotificationConfiguration",
            [
                "Bucket": "bucket",
                "NotificationConfiguration": [
                    "QueueConfigurations": [
                        ["QueueArn": "arn:aws:sqs:us-east-1:000000000000:q", "Events": ["s3:LifecycleExpiration:*"]]
                    ]
                ],
            ])
        try await harness.put("log/1", "x")
        try await harness.put("keep", "x")
        let upload = try await harness.call("CreateMultipartUpload", ["Bucket": "bucket", "Key": "log/u"])
        #expect(upload["UploadId"] != nil)
        try await harness.call(
            "PutBucketLifecycleConfiguration",
            [
                "Bucket": "bucket",
                "LifecycleConfiguration": [
                    "Rules": [
                        [
                            "Status": "Enabled", "Filter": ["Prefix": "log/"], "Expiration": ["Days": 1],
                            "AbortIncompleteMultipartUpload": ["DaysAfterInitiation": 1],
                        ]
                    ]
                ],
            ])
        let before = harness.outbox.deliveries.count
        await harness.service.runLifecycle()
        #expect(try await harness.get("log/1").text == "x")
        harness.time.advance(by: .seconds(3 * 86_400))
        await harness.service.runLifecycle()
        #expect(await harness.error("GetObject", ["Bucket": "bucket", "Key": "log/1"])?.code == "NoSuchKey")
        #expect(try await harness.get("keep").text == "x")
        #expect(try await harness.call("ListMultipartUploads", ["Bucket": "bucket"])["Uploads"] == nil)
        let sent = harness.outbox.deliveries.dropFirst(before).map { String(decoding: $0.payload, as: UTF8.self) }
        #expect(sent.count == 1 && sent.first?.contains("LifecycleExpiration:Delete") == true)
        #expect(sent.first?.contains("\"principalId\":\"s3.amazonaws.com\"") == true)
    }
}

@Suite struct Publicity {
    private func isPublic(_ principal: Value, _ condition: Value? = nil, effect: String = "Allow") -> Bool {
        var statement: Value = [
            "Effect": .string(effect), "Principal": principal, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*",
        ]
        if let condition { statement["Condition"] = condition }
        return PolicyStatus.isPublic(JSON.encodeString(["Version": "2012-10-17", "Statement": [statement]]))
    }

    @Test func policies() {
        #expect(isPublic("*") && isPublic(["AWS": "*"]) && isPublic(["AWS": ["*", "1"]]))
        #expect(!isPublic(["AWS": "123456789012"]) && !isPublic(["Service": "s3.amazonaws.com"]))
        #expect(!isPublic("*", effect: "Deny"))
        #expect(!isPublic("*", ["IpAddress": ["aws:SourceIp": "10.0.0.0/8"]]))
        #expect(isPublic("*", ["IpAddress": ["aws:SourceIp": "0.0.0.0/0"]]))
        #expect(isPublic("*", ["NotIpAddress": ["aws:SourceIp": "10.0.0.0/8"]]))
        #expect(isPublic("*", ["StringEquals": ["aws:UserAgent": "x"]]))
        #expect(!isPublic("*", ["StringEquals": ["aws:PrincipalOrgID": "o-1"]]))
        #expect(isPublic("*", ["StringLike": ["aws:SourceVpc": "vpc-*"]]))
        #expect(isPublic("*", ["StringEqualsIfExists": ["aws:SourceVpc": "vpc-1"]]))
        #expect(!PolicyStatus.isPublic("nonsense") && !PolicyStatus.isPublic("{}"))
    }
}

@Suite struct Damage {
    @Test func wrongBytesAreNeverSent() async throws {
        let harness = try Harness()
        try await harness.makeBucket()
        try await harness.put("k", "right bytes")
        #expect(try await harness.get("k").text == "right bytes")
        try harness.damageBlobs()
        await #expect(throws: Failure.self) { try await harness.get("k") }
        await #expect(throws: Failure.self) { try await harness.get("k", ["Range": "bytes=0-1"]) }
        // Putting it anew repairs it: the name is that of the right bytes.
        try await harness.put("other", "other bytes")
        #expect(try await harness.get("other").text == "other bytes")
    }

    @Test func partsAreComparedWhileTheyAreSent() async throws {
        let harness = try Harness()
        try await harness.makeBucket()
        let upload: Value = ["Bucket": "bucket", "Key": "k"]
        let id = try await harness.call("CreateMultipartUpload", upload)["UploadId"] ?? ""
        var whole: [UInt8] = []
        var parts: [Value] = []
        for number in 1...2 {
            let bytes = [UInt8](repeating: UInt8(number), count: 5 << 20)
            whole += bytes
            var input = upload
            input["UploadId"] = id
            input["PartNumber"] = .int(Int64(number))
            let part = try await harness.call("UploadPart", input, body: bytes)
            parts.append(["PartNumber": .int(Int64(number)), "ETag": part["ETag"] ?? ""])
        }
        var completion = upload
        completion["UploadId"] = id
        completion["MultipartUpload"] = ["Parts": .list(parts)]
        try await harness.call("CompleteMultipartUpload", completion)
        // The first read compares, the second believes it.
        for _ in 0..<2 {
            let isSame = try await harness.get("k").bytes == whole
            #expect(isSame)
        }
        try harness.damageBlobs()
        await #expect(throws: Failure.self) { try await harness.get("k") }
        await #expect(throws: Failure.self) {
            try await harness.call("CopyObject", ["Bucket": "bucket", "Key": "copy", "CopySource": "bucket/k"])
        }
    }
}
