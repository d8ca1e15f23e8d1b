import Contracts
import Platform
import Testing
import Wire

@testable import S3

@Suite struct Notifications {
    private let function = "arn:aws:lambda:us-east-1:000000000000:function:f"

    private func configuration(_ rules: [(events: [String], prefix: String?, suffix: String?)])
        -> NotificationConfiguration
    {
        var configuration = NotificationConfiguration()
        configuration.rules = rules.enumerated().map { index, rule in
            .init(
                id: "r\(index)", kind: .lambda, target: function, events: rule.events, prefix: rule.prefix,
                suffix: rule.suffix)
        }
        return configuration
    }

    private func overlap(_ rules: [(events: [String], prefix: String?, suffix: String?)]) -> String? {
        do {
            try configuration(rules).checkOverlaps()
            return nil
        } catch { return error.message }
    }

    @Test func matching() throws {
        let rules = configuration([
            (["s3:ObjectCreated:*"], "in/", ".jpg"), ([EventName.delete], nil, nil), ([EventName.copy], "ü", nil),
        ])
        func fired(_ event: String, _ key: String) throws -> [String] {
            rules.matching(event: event, key: try ObjectKey(key)).map(\.id)
        }
        #expect(try fired(EventName.put, "in/a.jpg") == ["r0"])
        #expect(try fired(EventName.complete, "in/a.jpg") == ["r0"])
        #expect(try fired(EventName.put, "in/a.png").isEmpty)
        #expect(try fired(EventName.put, "out/in/a.jpg").isEmpty)
        #expect(try fired(EventName.delete, "x") == ["r1"])
        #expect(try fired(EventName.copy, "üx") == ["r2"])
        #expect(try fired(EventName.copy, "u\u{308}x").isEmpty, "bytes are compared, not characters")
    }

    @Test func overlaps() {
        let created = ["s3:ObjectCreated:*"]
        let ambiguous =
            "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are "
            + "overlapping for the same event type."
        #expect(overlap([(created, "a/", nil), (created, "b/", nil)]) == nil)
        #expect(overlap([(created, nil, ".jpg"), (created, nil, ".png")]) == nil)
        #expect(overlap([(created, nil, nil), ([EventName.delete], nil, nil)]) == nil)
        #expect(overlap([(created, "a/", nil), ([EventName.put], "a/b/", nil)]) == ambiguous)
        #expect(overlap([(created, "a/", ".jpg"), (created, "b/", ".jpg")]) == nil)
        #expect(overlap([(created, "a/", ".jpg"), (created, "a/", "jpg")]) == ambiguous)
        #expect(
            overlap([(created, nil, nil), ([EventName.put], nil, nil)])?.hasPrefix("Configurations overlap.") == true)
    }

    @Test func packing() throws {
        var configuration = configuration([(["s3:ObjectCreated:*"], "p", nil), ([EventName.delete], nil, "s")])
        configuration.rules[1].kind = .queue
        configuration.rules[1].suffixFirst = true
        #expect(try NotificationConfiguration(packed: configuration.packed()) == configuration)
        #expect(try NotificationConfiguration(packed: []) == NotificationConfiguration())
    }

    @Test func validation() throws {
        func code(_ value: Value) -> String? {
            do {
                _ = try NotificationConfiguration(Model.NotificationConfiguration(value))
                return nil
            } catch { return (error as? AWSError).map { "\($0.code): \($0.message)" } ?? "other" }
        }
        func one(_ arn: String, _ event: String, _ rules: [(String, String)] = []) -> Value {
            [
                "LambdaFunctionConfigurations": [
                    [
                        "LambdaFunctionArn": .string(arn), "Events": [.string(event)],
                        "Filter": [
                            "Key": [
                                "FilterRules": .list(rules.map { ["Name": .string($0.0), "Value": .string($0.1)] })
                            ]
                        ],
                    ]
                ]
            ]
        }
        #expect(code(one(function, EventName.put)) == nil)
        #expect(code(one("nonsense", EventName.put)) == "InvalidArgument: The ARN could not be parsed")
        #expect(code(one("arn:aws:sqs:us-east-1:0:q", EventName.put)) == "InvalidArgument: The ARN could not be parsed")
        #expect(code(one(function, "s3:Nope")) == "InvalidArgument: The event is not supported for notifications")
        #expect(code(one(function, EventName.put, [("Prefix", "a"), ("suffix", "b")])) == nil)
        #expect(
            code(one(function, EventName.put, [("prefix", "a"), ("PREFIX", "b")]))
                == "InvalidArgument: Cannot specify more than one prefix rule in a filter.")
        #expect(
            code(one(function, EventName.put, [("infix", "a")]))
                == "InvalidArgument: filter rule name must be either prefix or suffix")
        #expect(code(["EventBridgeConfiguration": [:]]) == nil)
        let read = try NotificationConfiguration(
            Model.NotificationConfiguration(one(function, EventName.put, [("suffix", "b"), ("prefix", "a")])))
        let shown = read.output.lambdaFunctionConfigurations?.first?.filter?.key?.filterRules
        #expect(shown?.map { $0.name ?? "" } == ["Suffix", "Prefix"])
        #expect(read.rules.first?.id.isEmpty == false, "an id is made")
    }

    @Test func record() throws {
        let bucket = StoredBucket(
            name: "photos", account: "000000000000", region: "eu-west-1", created: Instant(nanoseconds: 0),
            notifications: NotificationConfiguration())
        let event = ObjectEvent(
            name: EventName.put,
            subject: EventSubject(key: try ObjectKey("in/my photo@1.jpg"), size: 12, etag: "abc"),
            time: Instant(milliseconds: 1_795_413_600_123), sequencer: Sequencer.text(0x0123_4567_89AB_CDEF),
            requestID: "REQ", sourceIP: "127.0.0.1", principal: .account("000000000000"))
        let text = String(
            decoding: JSON.encode(EventRecord.message(event, bucket: bucket, configurationID: "cfg")), as: UTF8.self)
        let user = CanonicalUser.eventIdentity(of: .account("000000000000"))
        let owner = CanonicalUser.customerID(account: "000000000000")
        let host = CanonicalUser.hostID(requestID: "REQ")
        #expect(user.hasPrefix("AWS:AIDA") && user.count == 25)
        #expect(
            text.replacing("\\/", with: "/")
                == #"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-west-1","#
                + #""eventTime":"2026-11-23T06:00:00.123Z","eventName":"ObjectCreated:Put","#
                + #""userIdentity":{"principalId":"\#(user)"},"requestParameters":{"sourceIPAddress":"127.0.0.1"},"#
                + #""responseElements":{"x-amz-request-id":"REQ","x-amz-id-2":"\#(host)"},"#
                + #""s3":{"s3SchemaVersion":"1.0","configurationId":"cfg","bucket":{"name":"photos","#
                + #""ownerIdentity":{"principalId":"\#(owner)"},"arn":"arn:aws:s3:::photos"},"#
                + #""object":{"key":"in/my+photo%401.jpg","size":12,"eTag":"abc","sequencer":"000123456789ABCDEF"}}}]}"#
        )
    }
}

@Suite struct PackedColumns {
    @Test func numbers() throws {
        for value in [0, 1, 127, 128, 300, Int64.max, -1, .min] {
            var packer = Packer()
            packer.int(value)
            var unpacker = Unpacker(packer.bytes)
            #expect(try unpacker.int() == value)
        }
    }

    @Test func metadata() throws {
        var metadata = ObjectMetadata()
        metadata.contentType = "text/plain"
        metadata.expires = "x"
        metadata.user = [.init(name: "a", value: "ü"), .init(name: "b", value: "")]
        metadata.encryption.keyID = "key"
        metadata.encryption.isUnnamed = false
        #expect(try ObjectMetadata(packed: metadata.packed()) == metadata)
        #expect(metadata.packed().first == 1, "what older versions wrote and read")
        metadata.tags = TagSet([.init(key: "a", value: "1"), .init(key: "b", value: "")])
        #expect(try ObjectMetadata(packed: metadata.packed()) == metadata)
        metadata.acl = AccessControl(owner: "o", grants: [.init(grantee: .allUsers, permission: .read)])
        #expect(try ObjectMetadata(packed: metadata.packed()) == metadata)
    }

    @Test func settings() throws {
        let value: Value = [
            "a": .list([.int(-1), .double(1.5), .bool(true), .bool(false), .null]),
            "t": .timestamp(Instant(nanoseconds: 5)),
            "b": .blob([1, 2]), "m": ["x": "ü"],
        ]
        #expect(try Unpacker.value(Packer.pack(value)) == value)
        #expect(throws: Failure.self) { try Unpacker.value([9, 200]) }
        let deep = [UInt8](repeating: 8, count: 1) + [1]
        #expect(throws: Failure.self) { try Unpacker.value(Array(repeatElement(deep, count: 5_000).joined())) }
    }

    /// Bytes from a broken disk give errors, never a crash or a huge allocation.
    @Test func hostileBytes() {
        var random = SeededGenerator(seed: 3)
        var good = ObjectMetadata()
        good.user = [.init(name: "name", value: "value")]
        let part = StoredPart(number: 1, blob: nil, offset: 0, length: 0, blobSize: 0, checksum: [1, 2, 3, 4])
        for _ in 0..<5000 {
            for source in [good.packed(), StoredPart.pack([part, part])] {
                var bytes = source
                for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
                    switch Int.random(in: 0...2, using: &random) {
                    case 0:
                        bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
                    case 1: bytes.removeLast(Int.random(in: 0...bytes.count, using: &random))
                    default: bytes.append(.random(in: 0...255, using: &random))
                    }
                }
                _ = try? ObjectMetadata(packed: bytes)
                _ = try? StoredPart.unpack(bytes)
                _ = try? NotificationConfiguration(packed: bytes)
            }
        }
    }
}

/// What other services write (`ObjectWriter`).
@Suite struct ObjectWriterTests {
    private let role = Principal.roleSession(
        roleARN: "arn:aws:iam::000000000000:role/r", sessionName: "f", account: "000000000000")
    private let scope = AccountRegion(account: "000000000000", region: "us-east-1")

    @Test func anObjectThatAServiceWritesIsAnObjectAsAnyOther() async throws {
        let house = try Harness()
        try await house.makeBucket()
        try await house.call(
            "PutBucketNotificationConfiguration",
            [
                "Bucket": "bucket",
                "NotificationConfiguration": [
                    "LambdaFunctionConfigurations": [
                        [
                            "Id": "i", "LambdaFunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
                            "Events": ["s3:ObjectCreated:Put"],
                        ]
                    ]
                ],
            ])
        for text in ["{}", ""] {
            try await house.service.write(
                Array(text.utf8), bucket: "bucket", key: "a/b", contentType: "application/json", scope: scope,
                principal: role, traceHeader: "Root=1;Lineage=1:ab:3")
            #expect(try await house.get("a/b").text == text)
        }
        #expect(
            house.outbox.deliveries.map(\.attributes.traceHeader) == Array(repeating: "Root=1;Lineage=1:ab:3", count: 2)
        )
    }

    @Test func bucketsThatAreNotThereAndOthersBuckets() async throws {
        let house = try Harness()
        try await house.makeBucket()
        let other = Principal.account("111122223333")
        for (bucket, principal, code) in [("none", role, "NoSuchBucket"), ("bucket", other, "AccessDenied")] {
            do {
                try await house.service.write(
                    [1], bucket: bucket, key: "k", contentType: "a/b", scope: scope, principal: principal,
                    traceHeader: nil)
                Issue.record("written to \(bucket)")
            } catch let error as AWSError {
                #expect(error.code == code)
            }
        }
    }

    @Test func theTraceGoesWithTheEvent() async throws {
        let house = try Harness()
        try await house.makeBucket()
        try await house.call(
            "PutBucketNotificationConfiguration",
            [
                "Bucket": "bucket",
                "NotificationConfiguration": [
                    "LambdaFunctionConfigurations": [
                        [
                            "LambdaFunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
                            "Events": ["s3:ObjectCreated:*"],
                        ]
                    ]
                ],
            ])
        let long = "Root=" + String(repeating: "x", count: 2_000)
        for header in ["Root=1-2-3;Lineage=1:ab:2", long] {
            try await house.call(
                "PutObject", ["Bucket": "bucket", "Key": "k"], body: [1], headers: [("x-amzn-trace-id", header)])
        }
        #expect(house.outbox.deliveries.map(\.attributes.traceHeader) == ["Root=1-2-3;Lineage=1:ab:2", nil])
    }
}
