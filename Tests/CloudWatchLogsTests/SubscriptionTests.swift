import Contracts
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import CloudWatchLogs

@Suite struct SubscriptionTests {
    let house: Harness
    static let function = "arn:aws:lambda:us-east-1:000000000000:function:f"
    static let stream = "arn:aws:kinesis:us-east-1:000000000000:stream/k"
    static let role = "arn:aws:iam::000000000000:role/r"

    init() throws { house = try Harness() }

    private func subscribe(
        _ name: String = "n", _ pattern: String = "", to target: String = function, role: String? = nil
    )
        async throws
    {
        var input: Value = [
            "logGroupName": "g", "filterName": .string(name), "filterPattern": .string(pattern),
            "destinationArn": .string(target),
        ]
        if let role { input["roleArn"] = .string(role) }
        try await house.call("PutSubscriptionFilter", input)
    }

    @Test func documentsHaveWhatAWSSends() async throws {
        try await house.group()
        try await subscribe("mine", "[level = ERROR, message]")
        try await house.put(["INFO fine", "ERROR bad luck", "ERROR again"])
        try await house.send()
        let delivery = try #require(house.outbox.deliveries.first)
        #expect(house.outbox.deliveries.count == 1)
        #expect(delivery.target == Self.function)
        #expect(
            delivery.principal
                == .service(
                    name: "logs.amazonaws.com", sourceARN: "arn:aws:logs:us-east-1:000000000000:log-group:g:*",
                    sourceAccount: "000000000000"))
        #expect(delivery.retry.maximumAge == .seconds(86_400))
        let document = try #require(try house.outbox.documents().first)
        #expect(document["messageType"] == "DATA_MESSAGE")
        #expect(document["owner"] == "000000000000")
        #expect(document["logGroup"] == "g" && document["logStream"] == "s")
        #expect(document["subscriptionFilters"] == ["mine"])
        let events = document["logEvents"]?.list ?? []
        #expect(events.compactMap { $0["message"]?.string } == ["ERROR bad luck", "ERROR again"])
        #expect(events.first?["extractedFields"] == ["level": "ERROR", "message": "bad luck"])
        // The ids are those of FilterLogEvents.
        let found = try await house.call("FilterLogEvents", ["logGroupName": "g", "filterPattern": "ERROR"])
        #expect(found["events"]?.list?.compactMap { $0["eventId"] } == events.compactMap { $0["id"] })
    }

    @Test func eventsAreSentOnceAndOutliveTheProcess() async throws {
        try await house.group(streams: ["s", "t"])
        try await subscribe()
        try await house.put(["one"])
        try await house.put(["two"])
        try await house.put(["three"], stream: "t")
        // Nothing was sent; another process comes.
        let outbox = RecordingOutbox()
        let other = try Harness.service(house.database, outbox, house.metrics, house.time)
        while try await other.ingestion.subscriptions.round() {}
        #expect(try outbox.messages() == ["one", "two", "three"])
        // Those of one stream go together.
        #expect(outbox.deliveries.count == 2)
        #expect(try await !other.ingestion.subscriptions.round())
        #expect(try outbox.messages().count == 3)
    }

    @Test func groupsWithoutSubscriptionsWriteNothingMore() async throws {
        try await house.group()
        try await house.put(["one"])
        #expect(try await house.database.read { try PendingRow.next(10, in: $0) }.isEmpty)
        try await subscribe()
        try await house.put(["two"])
        try await house.call("DeleteSubscriptionFilter", ["logGroupName": "g", "filterName": "n"])
        try await house.put(["three"])
        try await house.send()
        // Whoever left does not get what waited for it.
        #expect(house.outbox.deliveries.isEmpty)
        #expect(try await house.database.read { try PendingRow.next(10, in: $0) }.isEmpty)
        try await subscribe()
        try await house.put(["four"])
        try await house.call("DeleteLogGroup", ["logGroupName": "g"])
        try await house.send()
        #expect(house.outbox.deliveries.isEmpty)
        try await house.group()
        #expect(
            try await house.call("DescribeSubscriptionFilters", ["logGroupName": "g"])["subscriptionFilters"] == [])
    }

    @Test func linesOfFunctionsCarryTheirLineage() async throws {
        try await house.group("/aws/lambda/f", streams: [])
        try await house.call(
            "PutSubscriptionFilter",
            [
                "logGroupName": "/aws/lambda/f", "filterName": "n", "filterPattern": "",
                "destinationArn": .string(Self.function),
            ])
        let events = [("a", "Lineage=1:0a:3"), ("b", "Lineage=1:0a:3"), ("c", nil)].map {
            LogEvent(timestamp: house.time.now(), message: $0.0, lineage: $0.1)
        }
        house.service.append(scope: Harness.scope, group: "/aws/lambda/f", stream: "e", events: events)
        await house.service.flush()
        try await house.send()
        #expect(try house.outbox.messages() == ["a", "b", "c"])
        let traces = house.outbox.deliveries.map(\.attributes.traceHeader)
        #expect(traces.count == 2)
        #expect(traces[0]?.hasPrefix("Root=1-") == true && traces[0]?.hasSuffix(";Lineage=1:0a:3") == true)
        #expect(traces[1] == nil)
    }

    @Test func streamsGetATestAndAKey() async throws {
        try await house.group()
        try await subscribe(to: Self.stream, role: Self.role)
        let control = try #require(try house.outbox.documents().first)
        #expect(control["messageType"] == "CONTROL_MESSAGE")
        #expect(
            control["logEvents"]?.list?.first?["message"]
                == "CWL CONTROL MESSAGE: Checking health of destination Kinesis stream.")
        try await house.put(["x"])
        try await house.send()
        let delivery = try #require(house.outbox.deliveries.last)
        #expect(delivery.attributes.partitionKey == "s")
        #expect(
            delivery.principal
                == .roleSession(roleARN: Self.role, sessionName: "CloudWatchLogs", account: "000000000000"))
        #expect(try house.outbox.messages().last == "x")
    }

    @Test func theNameThatTheFunctionLetsInIsTaken() async throws {
        try await house.group()
        house.outbox.allowed.withLock { $0 = ["logs.us-east-1.amazonaws.com"] }
        try await subscribe()
        try await house.put(["x"])
        try await house.send()
        guard case .service(let name, _, _) = house.outbox.deliveries.first?.principal else {
            Issue.record("no delivery")
            return
        }
        #expect(name == "logs.us-east-1.amazonaws.com")
        house.outbox.allowed.withLock { $0 = [] }
        let refusal = await house.refusal(
            "PutSubscriptionFilter",
            ["logGroupName": "g", "filterName": "b", "filterPattern": "", "destinationArn": .string(Self.function)])
        #expect(
            refusal?.message
                == "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute "
                + "your function.")
    }

    @Test func twoSubscriptionsAndNoMore() async throws {
        try await house.group()
        try await subscribe("a", "x")
        try await subscribe("b", "y")
        try await subscribe("b", "z")
        let third = await house.refusal(
            "PutSubscriptionFilter",
            ["logGroupName": "g", "filterName": "c", "filterPattern": "", "destinationArn": .string(Self.function)])
        #expect(third?.code == "LimitExceededException" && third?.message == "Resource limit exceeded.")
        try await house.put(["x y", "z", "x z"])
        try await house.send()
        let documents = try house.outbox.documents().map { document in
            (document["subscriptionFilters"]?.list?.first?.string ?? "", document["logEvents"]?.list?.count ?? 0)
        }
        #expect(documents.map(\.0) == ["a", "b"] && documents.map(\.1) == [2, 2])
    }

    /// Nothing is larger than a function takes, and nothing is lost on the way to that.
    @Test func largeBatchesAreSplit() throws {
        var state: UInt64 = 7
        let entries = (0..<40).map { number in
            // Half as random as base64: a document of a megabyte does not shrink enough.
            let noise = (0..<8_000).map { _ -> String in
                state = state &* 6_364_136_223_846_793_005 &+ 1
                return String(state >> 16, radix: 36)
            }
            let row = EventRow(id: Int64(number), stream: 1, timestamp: 1, ingested: 1, message: noise.joined())
            return SubscriptionDocument.Entry(row, .plain)
        }
        let (payloads, left) = try SubscriptionDocument.payloads(entries) { compressed in
            JSON.encode(["awslogs": ["data": .string(Base64.encode(compressed))]])
        } document: { part in
            SubscriptionDocument.data(part, owner: "o", group: "g", stream: "s", filter: "f")
        }
        #expect(left == 0 && payloads.count > 3)
        #expect(payloads.allSatisfy { $0.count <= Limits.deliveryBytes })
        let ids = try payloads.flatMap { payload in
            let data = try JSON.parse(payload)["awslogs"]?["data"]?.string.flatMap { Base64.decode($0) } ?? []
            return try JSON.parse(try gunzip(data))["logEvents"]?.list?.compactMap { $0["id"]?.string } ?? []
        }
        #expect(ids == entries.map(\.position.digits))
    }

    @Test func gzipHoldsEverything() throws {
        for count in [0, 1, 100, 70_000] {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) }
            let zipped = try Gzip.compress(bytes)
            #expect(zipped.prefix(2) == [0x1f, 0x8b])
            if count > 0 { #expect(try gunzip(zipped) == bytes) }
        }
    }
}
