import Contracts
import Platform
import Synchronization
import Testing
import Wire

@testable import Lambda

@Suite struct EventSourceMappingTests {
    static let queue = "arn:aws:sqs:us-east-1:000000000000:jobs"

    private static func stream(_ more: Value) -> Value {
        var input: Value = [
            "EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/s", "StartingPosition": "LATEST",
        ]
        for entry in more.fields?.entries ?? [] { input[entry.name] = entry.value }
        return input
    }

    @Test func mappingOfAStream() async throws {
        let house = try await house()
        let queue = "arn:aws:sqs:us-east-1:000000000000:failed"
        let made = try await create(
            house, Self.stream(["DestinationConfig": ["OnFailure": ["Destination": .string(queue)]]]))
        #expect(made["State"] == "Creating")
        #expect(made["StateTransitionReason"] == "User action")
        #expect(made["LastProcessingResult"] == "No records processed")
        #expect(made["StartingPosition"] == "LATEST")
        for (name, value) in [
            ("BatchSize", 100), ("MaximumBatchingWindowInSeconds", 0), ("ParallelizationFactor", 1),
            ("MaximumRecordAgeInSeconds", -1), ("MaximumRetryAttempts", -1), ("TumblingWindowInSeconds", 0),
        ] { #expect(made[name]?.int == Int64(value), "\(name)") }
        #expect(made["BisectBatchOnFunctionError"] == false)
        #expect(made["DestinationConfig"]?["OnFailure"]?["Destination"]?.string == queue)
        try await settle(house)
        let mapping = try #require(house.runner.changes.withLock { $0.last })
        #expect(mapping.stream?.start == .latest)
        #expect(mapping.stream?.onFailure == queue)
        #expect(mapping.stream?.maximumRetryAttempts == nil)
        try await house.service.report("OK", of: mapping)

        let again = await house.error("CreateEventSourceMapping", request(Self.stream([:])))
        let id = try #require(made["UUID"]?.string)
        #expect(again?.status == 409)
        let text =
            "The event source arn (\" arn:aws:kinesis:us-east-1:000000000000:stream/s \") and function (\" fn \") "
            + "provided mapping already exists. Please update or delete the existing mapping with UUID \(id)"
        #expect(again?.message == text)

        let change: Value = [
            "UUID": .string(id), "MaximumRetryAttempts": 3, "BisectBatchOnFunctionError": true,
            "DestinationConfig": ["OnFailure": [:]],
        ]
        let updated = try await house.call("UpdateEventSourceMapping", change).output
        #expect(updated["State"] == "Updating")
        #expect(updated["LastProcessingResult"] == "OK")
        #expect(updated["MaximumRetryAttempts"] == 3)
        #expect(updated["DestinationConfig"]?["OnFailure"]?["Destination"] == nil)
        let last = house.runner.changes.withLock { $0.last }
        #expect(last?.stream?.bisectsOnFunctionError == true)
    }

    private func house() async throws -> Harness {
        let house = try await Harness()
        try await house.create()
        return house
    }

    private func create(_ house: Harness, _ more: Value = [:]) async throws -> Value {
        try await house.call("CreateEventSourceMapping", request(more)).output
    }

    private func request(_ more: Value) -> Value {
        var input: Value = ["FunctionName": "fn", "EventSourceArn": .string(Self.queue)]
        for entry in more.fields?.entries ?? [] { input[entry.name] = entry.value.isNull ? nil : entry.value }
        return input
    }

    /// What the runner does at once.
    private func settle(_ house: Harness) async throws {
        let changes = house.runner.changes.withLock { $0 }
        if let last = changes.last { try await house.service.settle(last) }
    }

    @Test func lifeOfAMapping() async throws {
        let house = try await house()
        let made = try await create(house)
        #expect(made["State"] == "Creating")
        #expect(made["StateTransitionReason"] == "USER_INITIATED")
        #expect(made["BatchSize"] == 10)
        #expect(made["MaximumBatchingWindowInSeconds"] == 0)
        #expect(made["FunctionResponseTypes"] == [])
        #expect(made["FunctionArn"]?.string == house.arn())
        #expect(made["LastProcessingResult"] == nil)
        let id = try #require(made["UUID"]?.string)
        let arn = "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:\(id)"
        #expect(made["EventSourceMappingArn"]?.string == arn)

        // In transition nothing else can be done.
        let busy = await house.error("UpdateEventSourceMapping", ["UUID": .string(id), "BatchSize": 5])
        #expect(busy?.code == "ResourceInUseException")
        try await settle(house)
        let got = try await house.call("GetEventSourceMapping", ["UUID": .string(id)]).output
        #expect(got["State"] == "Enabled")

        let updated = try await house.call("UpdateEventSourceMapping", ["UUID": .string(id), "BatchSize": 5]).output
        #expect(updated["State"] == "Updating")
        #expect(updated["BatchSize"] == 5)
        try await settle(house)
        let off = try await house.call("UpdateEventSourceMapping", ["UUID": .string(id), "Enabled": false]).output
        #expect(off["State"] == "Disabling")
        try await settle(house)
        #expect(try await house.call("GetEventSourceMapping", ["UUID": .string(id)]).output["State"] == "Disabled")
        #expect(try await house.service.activeMappings(after: nil, limit: 10).isEmpty)
        let on = try await house.call("UpdateEventSourceMapping", ["UUID": .string(id), "Enabled": true]).output
        #expect(on["State"] == "Enabling")
        try await settle(house)
        #expect(try await house.service.activeMappings(after: nil, limit: 10).map(\.state) == [.enabled])

        let deleted = try await house.call("DeleteEventSourceMapping", ["UUID": .string(id)]).output
        #expect(deleted["State"] == "Deleting")
        try await settle(house)
        let gone = await house.error("GetEventSourceMapping", ["UUID": .string(id)])
        #expect(gone?.status == 404)
        #expect(gone?.message == "The resource you requested does not exist.")
        let revisions = house.runner.changes.withLock { $0.map(\.revision) }
        #expect(revisions == [1, 2, 3, 4, 5])
    }

    @Test func createdDisabled() async throws {
        let house = try await house()
        #expect(try await create(house, ["Enabled": false])["State"] == "Disabled")
    }

    @Test func settlingAnOldRevisionDoesNothing() async throws {
        let house = try await house()
        let id = try #require(try await create(house)["UUID"]?.string)
        try await settle(house)
        _ = try await house.call("UpdateEventSourceMapping", ["UUID": .string(id), "Enabled": false])
        let first = try #require(house.runner.changes.withLock { $0.first })
        try await house.service.settle(first)
        #expect(try await house.call("GetEventSourceMapping", ["UUID": .string(id)]).output["State"] == "Disabling")
    }

    struct Refusal: Sendable {
        var input: Value
        var message: String
        init(_ input: Value, _ message: String) {
            self.input = input
            self.message = message
        }
    }

    static let refusals: [Refusal] = [
        Refusal(["EventSourceArn": .null], "Unrecognized event source."),
        Refusal(["EventSourceArn": "arn:aws:sns:us-east-1:000000000000:t"], "Unrecognized event source."),
        Refusal(["FunctionName": "other"], "Function does not exist"),
        Refusal(
            ["BatchSize": 11],
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        ),
        Refusal(
            ["EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q.fifo", "MaximumBatchingWindowInSeconds": 1],
            "Batching window is not supported for FIFO queues"
        ),
        Refusal(
            ["StartingPosition": "LATEST"],
            "Unsupported 'startingPosition' parameter for given event source mapping type."
        ),
        Refusal(
            ["DestinationConfig": ["OnFailure": ["Destination": "arn:aws:sqs:us-east-1:000000000000:x"]]],
            "Unsupported DestinationConfig parameter for given event source mapping type."
        ),
        Refusal(["FilterCriteria": ["Filters": [["Pattern": "not json"]]]], "Invalid filter pattern definition."),
        Refusal(
            ["EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:gone"],
            "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
                + "SQS Error Message: The specified queue does not exist."
        ),
        Refusal(
            ["EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:denied"],
            "The provided execution role does not have permissions to call ReceiveMessage on SQS"
        ),
        Refusal(
            ["FunctionName": "slow"],
            "Queue visibility timeout: 30 seconds is less than Function timeout: 60 seconds"
        ),
        Refusal(
            ["EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/s"],
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
                + "Member must not be null."
        ),
        Refusal(
            [
                "EventSourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/s",
                "StartingPosition": "AT_TIMESTAMP",
            ],
            "Unsupported starting position for arn type: arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/s"
        ),
        Refusal(
            ["EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/gone", "StartingPosition": "LATEST"],
            "Stream not found: arn:aws:kinesis:us-east-1:000000000000:stream/gone"
        ),
        Refusal(
            ["EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/denied", "StartingPosition": "LATEST"],
            "Cannot access stream arn:aws:kinesis:us-east-1:000000000000:stream/denied. Please ensure the role can "
                + "perform the GetRecords, GetShardIterator, DescribeStream, ListShards, and ListStreams Actions on "
                + "your stream in IAM."
        ),
        Refusal(
            stream(["ScalingConfig": ["MaximumConcurrency": 5]]),
            "Unsupported 'scalingConfig' parameter for given event source mapping type."),
        Refusal(
            stream(["MaximumRecordAgeInSeconds": 30]),
            "MaximumRecordAgeInSeconds must be -1, or between 60 and 604800."),
        Refusal(
            stream(["TumblingWindowInSeconds": 30, "ParallelizationFactor": 2]),
            "TumblingWindowInSeconds cannot be used with a ParallelizationFactor greater than 1."),
        Refusal(
            stream(["DestinationConfig": ["OnSuccess": ["Destination": .string(queue)]]]),
            "Unsupported DestinationConfig parameter for given event source mapping type."),
        Refusal(
            stream(["StartingPosition": "AT_TIMESTAMP"]),
            "StartingPositionTimestamp is required when StartingPosition is set to AT_TIMESTAMP."),
        Refusal(
            [
                "EventSourceArn": .null,
                "SelfManagedEventSource": ["Endpoints": ["KAFKA_BOOTSTRAP_SERVERS": ["kafka:1000"]]],
            ],
            "Required 'sourceAccessConfigurations' parameter is missing."
        ),
    ]

    @Test(arguments: refusals) func refused(_ refusal: Refusal) async throws {
        let house = try await house()
        try await house.create("slow", ["Timeout": 60])
        let error = await house.error("CreateEventSourceMapping", request(refusal.input))
        #expect(error?.code == "InvalidParameterValueException")
        #expect(error?.message == refusal.message)
        #expect(house.runner.changes.withLock { $0.isEmpty })
    }

    @Test func duplicate() async throws {
        let house = try await house()
        let id = try #require(try await create(house)["UUID"]?.string)
        let error = await house.error("CreateEventSourceMapping", request([:]))
        #expect(error?.status == 409)
        #expect(
            error?.message
                == "An event source mapping with SQS arn (\" \(Self.queue) \") and function (\" fn \") already exists. "
                + "Please update or delete the existing mapping with UUID \(id)")
    }

    @Test func settingsReachTheRunner() async throws {
        let house = try await house()
        let pattern = #"{"body":{"a":["b"]}}"#
        let made = try await create(
            house,
            [
                "BatchSize": 100, "MaximumBatchingWindowInSeconds": 7,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "FilterCriteria": ["Filters": [["Pattern": .string(pattern)]]],
                "ScalingConfig": ["MaximumConcurrency": 4], "MetricsConfig": ["Metrics": ["EventCount"]],
                "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
            ])
        #expect(made["MetricsConfig"] == ["Metrics": ["EventCount"]])
        #expect(made["FilterCriteria"] == ["Filters": [["Pattern": .string(pattern)]]])
        let mapping = try #require(house.runner.changes.withLock { $0.last })
        #expect(mapping.batchSize == 100)
        #expect(mapping.batchingWindow == .seconds(7))
        #expect(mapping.filters == [pattern])
        #expect(mapping.reportsBatchItemFailures)
        #expect(mapping.maximumConcurrency == 4)
        try await settle(house)
        let id = try #require(made["UUID"]?.string)
        let updated = try await house.call(
            "UpdateEventSourceMapping",
            ["UUID": .string(id), "FilterCriteria": [:], "ScalingConfig": [:], "FunctionResponseTypes": []]
        ).output
        #expect(updated["FilterCriteria"] == nil)
        #expect(updated["ScalingConfig"] == nil)
        let after = try #require(house.runner.changes.withLock { $0.last })
        #expect(after.filters.isEmpty && after.maximumConcurrency == nil && !after.reportsBatchItemFailures)
        #expect(after.batchSize == 100)
    }

    @Test func lists() async throws {
        let house = try await house()
        try await house.create("other")
        var ids: Set<String> = []
        for index in 0..<5 {
            let arn = "arn:aws:sqs:us-east-1:000000000000:q\(index)"
            let made = try await create(house, ["EventSourceArn": .string(arn)])
            ids.insert(made["UUID"]?.string ?? "")
        }
        _ = try await create(
            house, ["FunctionName": "other", "EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q0"])
        func list(_ input: Value) async throws -> (ids: [String], next: String?) {
            let output = try await house.call("ListEventSourceMappings", input).output
            let items = output["EventSourceMappings"]?.list ?? []
            return (items.compactMap { $0["UUID"]?.string }, output["NextMarker"]?.string)
        }
        #expect(try await list([:]).ids.count == 6)
        #expect(try await Set(list(["FunctionName": "fn"]).ids) == ids)
        #expect(try await list(["EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q0"]).ids.count == 2)
        #expect(
            try await list(["FunctionName": "other", "EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q1"]).ids
                .isEmpty)
        var seen: [String] = []
        var marker: String?
        repeat {
            var input: Value = ["MaxItems": 2]
            if let marker { input["Marker"] = .string(marker) }
            let page = try await list(input)
            seen += page.ids
            marker = page.next
        } while marker != nil
        #expect(seen.count == 6 && Set(seen).count == 6)
        #expect(await house.error("ListEventSourceMappings", ["Marker": "%%"])?.status == 400)
    }

    @Test func tags() async throws {
        let house = try await house()
        let made = try await create(house, ["Tags": ["a": "1"]])
        let arn = try #require(made["EventSourceMappingArn"])
        _ = try await house.call("TagResource", ["Resource": arn, "Tags": ["b": "2"]])
        #expect(try await house.call("ListTags", ["Resource": arn]).output["Tags"] == ["a": "1", "b": "2"])
        _ = try await house.call("UntagResource", ["Resource": arn, "TagKeys": ["a"]])
        #expect(try await house.call("ListTags", ["Resource": arn]).output["Tags"] == ["b": "2"])
        let other = "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:00000000-0000-0000-0000-000000000000"
        let error = await house.error("ListTags", ["Resource": .string(other)])
        #expect(error?.message == "Event source mapping not found: \(other)")
    }

    @Test func problemsAreShown() async throws {
        let house = try await house()
        let id = try #require(try await create(house)["UUID"]?.string)
        let mapping = try #require(house.runner.changes.withLock { $0.last })
        try await house.service.report("PROBLEM: x", of: mapping)
        #expect(
            try await house.call("GetEventSourceMapping", ["UUID": .string(id)]).output["LastProcessingResult"]
                == "PROBLEM: x")
        try await house.service.report(nil, of: mapping)
        #expect(
            try await house.call("GetEventSourceMapping", ["UUID": .string(id)]).output["LastProcessingResult"] == nil)
    }
}
