import Contracts
import Platform
import Storage
import Testing
import Wire

@testable import S3

/// RestoreObject: its answers, its expiry and its events.
@Suite struct Restores {
    private static let queue = "arn:aws:sqs:us-east-1:000000000000:q"

    private func harness() async throws -> Harness {
        let harness = try Harness()
        try await harness.makeBucket()
        let configuration: Value = [
            "EventBridgeConfiguration": [:],
            "QueueConfigurations": [
                ["Id": "r", "QueueArn": .string(Self.queue), "Events": ["s3:ObjectRestore:*"]]
            ],
        ]
        try await harness.call(
            "PutBucketNotificationConfiguration",
            [
                "Bucket": "bucket", "NotificationConfiguration": configuration, "SkipDestinationValidation": true,
            ])
        return harness
    }

    private func restore(_ key: String, days: Int, version: String? = nil) -> Value {
        var input: Value = [
            "Bucket": "bucket", "Key": .string(key), "RestoreRequest": ["Days": .int(Int64(days))],
        ]
        if let version { input["VersionId"] = .string(version) }
        return input
    }

    private func shown(_ harness: Harness, _ key: String) async throws -> String? {
        try await harness.call("HeadObject", ["Bucket": "bucket", "Key": .string(key)])["Restore"]?.string
    }

    /// Records for the queue, by the names of their events.
    private func records(_ harness: Harness) throws -> [Value] {
        try harness.outbox.deliveries.filter { $0.target == Self.queue }.map {
            try JSON.parse($0.payload)["Records"]?.list?.first ?? [:]
        }
    }

    @Test(arguments: ["GLACIER", "DEEP_ARCHIVE"]) func aRestoreAndItsEnd(storageClass: String) async throws {
        let harness = try await harness()
        try await harness.put("k", "text", ["StorageClass": .string(storageClass)])
        #expect(try await shown(harness, "k") == nil)
        let began = harness.time.now()
        #expect(try await harness.call("RestoreObject", restore("k", days: 1)).status == 202)
        let expiry = LifecycleRules.due(began, days: 1)
        let text = "ongoing-request=\"false\", expiry-date=\"\(expiry.httpDate)\""
        #expect(try await shown(harness, "k") == text)
        #expect(try await harness.get("k")["Restore"]?.string == text)
        #expect(try await harness.get("k").text == "text")
        var names = try records(harness).map { $0["eventName"]?.string }
        #expect(names == ["ObjectRestore:Post", "ObjectRestore:Completed"])
        let data = try records(harness).map { $0["glacierEventData"]?["restoreEventData"] }
        #expect(
            data == [
                nil,
                [
                    "lifecycleRestorationExpiryTime": .string(expiry.iso8601(fractionDigits: 3)),
                    "lifecycleRestoreStorageClass": .string(storageClass),
                ],
            ])

        // Once more: the expiry is another, and nothing is restored.
        #expect(try await harness.call("RestoreObject", restore("k", days: 2)).status == 200)
        let later = LifecycleRules.due(began, days: 2)
        #expect(try await shown(harness, "k")?.contains(later.httpDate) == true)
        #expect(try records(harness).count == 2)

        harness.time.advance(by: later - harness.time.now() - .nanoseconds(1))
        #expect(await harness.service.endRestores())
        #expect(try await shown(harness, "k") != nil)
        harness.time.advance(by: .nanoseconds(1))
        // Over, before anybody has ended it.
        #expect(try await shown(harness, "k") == nil)
        for _ in 0..<2 { #expect(await harness.service.endRestores()) }
        names = try records(harness).map { $0["eventName"]?.string }
        #expect(names == ["ObjectRestore:Post", "ObjectRestore:Completed", "ObjectRestore:Delete"])
        let bus = harness.outbox.deliveries.compactMap { $0.attributes.event?.detailType }
        #expect(
            bus == [
                "Object Created", "Object Restore Initiated", "Object Restore Completed", "Object Restore Expired",
            ])
        #expect(try await harness.call("RestoreObject", restore("k", days: 1)).status == 202)
    }

    @Test func whatBusesAreTold() async throws {
        let harness = try await harness()
        try await harness.put("k", "text", ["StorageClass": "GLACIER"])
        try await harness.call("RestoreObject", restore("k", days: 1))
        let details = try harness.outbox.deliveries.filter { $0.attributes.event != nil }.dropFirst().map {
            try JSON.parse($0.payload)
        }
        let (initiated, completed) = (try #require(details.first), try #require(details.last))
        #expect(initiated["source-storage-class"] == "GLACIER" && initiated["source-ip-address"] == "127.0.0.1")
        #expect(initiated["restore-expiry-time"] == nil && initiated["requester"] == "000000000000")
        let expiry = LifecycleRules.due(harness.time.now(), days: 1)
        #expect(completed["restore-expiry-time"]?.string == expiry.iso8601())
        #expect(completed["requester"] == "s3.amazonaws.com" && completed["source-ip-address"] == nil)
        #expect(completed["object"]?["size"]?.int == 4)
    }

    @Test func refusals() async throws {
        let harness = try await harness()
        try await harness.put("plain", "text")
        try await harness.put("k", "text", ["StorageClass": "GLACIER"])
        let error = await harness.error("RestoreObject", restore("plain", days: 1))
        #expect(error?.code == "InvalidObjectState" && error?.status == 403)
        #expect(error?.fields["StorageClass"] == "STANDARD")
        #expect(await harness.error("RestoreObject", restore("none", days: 1))?.code == "NoSuchKey")
        for days in [0, -1] {
            #expect(await harness.error("RestoreObject", restore("k", days: days))?.code == "MalformedXML")
        }
        var selecting = restore("k", days: 1)
        selecting["RestoreRequest"] = ["Type": "SELECT"]
        #expect(await harness.error("RestoreObject", selecting)?.code == "NotImplemented")
        #expect(try await harness.call("RestoreObject", restore("k", days: .max)).status == 202)
        #expect(try await shown(harness, "k") != nil)
    }

    /// A restore is of one object: what replaces it has none, and an old version keeps its own.
    @Test func aRestoreBelongsToAVersion() async throws {
        let harness = try await harness()
        try await harness.call(
            "PutBucketVersioning", ["Bucket": "bucket", "VersioningConfiguration": ["Status": "Enabled"]])
        let old = try await harness.put("k", "old", ["StorageClass": "GLACIER"])["VersionId"]?.string ?? ""
        try await harness.call("RestoreObject", restore("k", days: 1))
        try await harness.put("k", "new", ["StorageClass": "GLACIER"])
        #expect(try await shown(harness, "k") == nil)
        let head = try await harness.call("HeadObject", ["Bucket": "bucket", "Key": "k", "VersionId": .string(old)])
        #expect(head["Restore"] != nil)
        #expect(try await harness.call("RestoreObject", restore("k", days: 3, version: old)).status == 200)
        try await harness.call("DeleteObject", ["Bucket": "bucket", "Key": "k", "VersionId": .string(old)])
        harness.time.advance(by: .seconds(10 * 86_400))
        #expect(await harness.service.endRestores())
        #expect(try records(harness).count == 2, "nothing is told of what is gone")
        let left = try await harness.database.read { transaction in
            try transaction.first("SELECT COUNT(*) FROM s3_restore") { $0.int(0) }
        }
        #expect(left == 0)
    }
}
