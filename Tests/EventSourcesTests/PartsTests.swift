import Contracts
import Platform
import Testing

@testable import EventSources

@Suite struct BatchAnswerTests {
    private func answer(_ text: String) -> BatchAnswer { BatchAnswer(Array(text.utf8)) { ["a", "b"].contains($0) } }

    @Test(arguments: ["", "null", "{}", "\"\"", #"{"batchItemFailures":[]}"#, #"{"batchItemFailures":null}"#])
    func success(_ text: String) { #expect(answer(text) == .allSucceeded) }

    @Test(arguments: [
        "not json", #"{"batchItemFailures":[{"itemIdentifier":""}]}"#, #"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
        #"{"batchItemFailures":[{"wrong":"a"}]}"#, #"{"batchItemFailures":[{"itemIdentifier":"unknown"}]}"#,
        #"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":""}]}"#, #"{"batchItemFailures":7}"#, "[1]",
        #""text""#, "7",
    ])
    func wholeBatchFails(_ text: String) { #expect(answer(text) == .allFailed) }

    @Test func some() {
        #expect(answer(#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"b"}]}"#) == .failed(["b"]))
    }
}

@Suite struct RecordTests {
    @Test func membersInOrder() {
        let message = QueueMessage(
            messageID: "id", receiptHandle: "h", body: "{\"a\":\"é\n\"}", md5OfBody: "5d",
            attributes: [(name: "ApproximateReceiveCount", value: "1"), (name: "SentTimestamp", value: "1700000000000")],
            messageAttributes: [
                MessageAttribute(name: "s", dataType: "String", content: .string("v")),
                MessageAttribute(name: "b", dataType: "Binary", content: .binary([1, 2, 3])),
            ], md5OfMessageAttributes: "6e")
        let record = QueueRecord(message, source: "arn:aws:sqs:eu-west-1:1:q", region: "eu-west-1")
        let head = #"{"messageId":"id","receiptHandle":"h","body":"{\"a\":\"é\n\"}","attributes":"#
        let attributes = #"{"ApproximateReceiveCount":"1","SentTimestamp":"1700000000000"},"messageAttributes":"#
        let string = #"{"s":{"stringValue":"v","stringListValues":[],"binaryListValues":[],"dataType":"String"},"#
        let binary = #""b":{"binaryValue":"AQID","stringListValues":[],"binaryListValues":[],"dataType":"Binary"}},"#
        let tail =
            #""md5OfMessageAttributes":"6e","md5OfBody":"5d","eventSource":"aws:sqs","#
            + #""eventSourceARN":"arn:aws:sqs:eu-west-1:1:q","awsRegion":"eu-west-1"}"#
        let expected = head + attributes + string + binary + tail
        #expect(String(decoding: record.json, as: UTF8.self) == expected)
        #expect(
            String(decoding: QueueRecord.event([record, record]), as: UTF8.self)
                == #"{"Records":["# + expected + "," + expected + "]}")
    }

    @Test func withoutAttributes() throws {
        let message = QueueMessage(
            messageID: "id", receiptHandle: "h", body: "plain", md5OfBody: "5d", attributes: [], messageAttributes: [],
            md5OfMessageAttributes: nil)
        let record = try JSON.parse(QueueRecord(message, source: "s", region: "r").json)
        #expect(record["messageAttributes"] == [:])
        #expect(record["md5OfMessageAttributes"] == nil)
    }

    @Test func bodiesForFilters() {
        func body(_ text: String) -> Value? {
            let message = QueueMessage(
                messageID: "id", receiptHandle: "h", body: text, md5OfBody: "", attributes: [], messageAttributes: [],
                md5OfMessageAttributes: nil)
            return QueueRecord.filterable(message, source: "s", region: "r")["body"]
        }
        #expect(body(#" {"a":1}"#) == ["a": 1])
        #expect(body("[1]") == [1])
        #expect(body("12") == "12")
        #expect(body("{broken") == "{broken")
    }
}

@Suite struct BatchBufferTests {
    struct Small: BatchRecord {
        var json: [UInt8]
    }

    @Test func closesBySize() {
        var buffer = BatchBuffer<Small>()
        let now = Instant(milliseconds: 0)
        for index in 1...5 {
            let closed = buffer.add(Small(json: [1]), size: 2, window: .zero, overhead: 0, now: now)
            #expect(closed.map(\.count) == (index % 2 == 0 ? [2] : []))
        }
        #expect(buffer.close()?.count == 1)
        #expect(buffer.close() == nil)
    }

    @Test func closesByBytes() {
        var buffer = BatchBuffer<Small>()
        let now = Instant(milliseconds: 0)
        let record = Small(json: [UInt8](repeating: 32, count: 3 << 20))
        #expect(buffer.add(record, size: 10, window: .zero, overhead: 14, now: now).isEmpty)
        // Two of 3 MiB and what is around them are more than 6 MiB.
        #expect(buffer.add(record, size: 10, window: .zero, overhead: 14, now: now).map(\.count) == [1])
        #expect(buffer.count == 1)
    }

    @Test func windowBeginsWithTheFirst() {
        var buffer = BatchBuffer<Small>()
        let now = Instant(milliseconds: 0)
        #expect(buffer.deadline == nil)
        _ = buffer.add(Small(json: []), size: 10, window: .seconds(5), overhead: 0, now: now)
        _ = buffer.add(Small(json: []), size: 10, window: .seconds(5), overhead: 0, now: now + .seconds(3))
        #expect(buffer.deadline == now + .seconds(5))
    }
}

@Suite struct PollerConcurrencyTests {
    private let now = Instant(milliseconds: 0)

    @Test func growsWhileSlow() {
        var concurrency = PollerConcurrency(.init(makeMapping(), machine: 1_000))
        #expect(concurrency.limit == 5)
        #expect(concurrency.backlog(now: now) == now + .seconds(1))
        #expect(concurrency.limit == 5)
        #expect(concurrency.backlog(now: now + .seconds(1)) == now + .seconds(2))
        #expect(concurrency.limit == 10)
        concurrency.quiet()
        #expect(concurrency.limit == 5)
    }

    @Test func staysWhileQuick() {
        var concurrency = PollerConcurrency(.init(makeMapping(), machine: 1_000))
        _ = concurrency.backlog(now: now)
        for _ in 0..<200 { concurrency.completed() }
        _ = concurrency.backlog(now: now + .seconds(1))
        #expect(concurrency.limit == 5)
    }

    @Test func bounded() {
        var concurrency = PollerConcurrency(.init(makeMapping(maximumConcurrency: 7), machine: 1_000))
        for second in 0..<10 { _ = concurrency.backlog(now: now + .seconds(second)) }
        #expect(concurrency.limit == 7)
        concurrency.reserved = 3
        #expect(concurrency.limit == 3)
        concurrency.reserved = 0
        #expect(concurrency.limit == 1)
        #expect(PollerConcurrency(.init(makeMapping(), machine: 2)).limit == 2)
        let pollers = EventSourceMapping.ProvisionedPollers(minimum: 2, maximum: 3)
        var provisioned = PollerConcurrency(.init(makeMapping(provisioned: pollers), machine: 1_000))
        #expect(provisioned.limit == 20)
        for second in 0..<10 { _ = provisioned.backlog(now: now + .seconds(second)) }
        #expect(provisioned.limit == 30)
    }

    @Test func failuresStepBack() {
        var concurrency = PollerConcurrency(.init(makeMapping(), machine: 1_000))
        for _ in 0..<10 { concurrency.failed() }
        #expect(concurrency.limit == 2)
    }
}
