import Contracts
import NIOCore
import Platform
import Synchronization
import Testing
import Wire

@testable import Kinesis

@Suite struct SubscribedShards {
    private static let shard = "shardId-000000000000"

    private func subscribe(_ harness: Harness, _ consumer: String, _ type: String) async throws -> Subscribed {
        let response = try await harness.response(
            "SubscribeToShard",
            [
                "ConsumerARN": .string(consumer), "ShardId": .string(Self.shard),
                "StartingPosition": ["Type": .string(type)],
            ])
        guard case .stream(_, let produce) = response.payload else { throw Failure(.bug, "no stream") }
        return Subscribed(produce)
    }

    private func consumer(_ harness: Harness) async throws -> String {
        _ = try await harness.call("CreateStream", ["StreamName": "s", "ShardCount": 1])
        let made = try await harness.call(
            "RegisterStreamConsumer", ["StreamARN": .string(Harness.arn("s")), "ConsumerName": "c"])
        return try #require(Model.RegisterStreamConsumerOutput(made).consumer?.consumerARN)
    }

    /// Until something waits that is due within five seconds: the subscription is at rest.
    private func rest(_ harness: Harness) async {
        while (harness.time.nextDue() ?? Instant(nanoseconds: .max)) > harness.time.now() + .seconds(5) {
            await Task.yield()
        }
    }

    @Test func recordsArePushedAndHeartbeatsSentAndASecondTakesOver() async throws {
        let harness = try Harness()
        let consumer = try await consumer(harness)
        let first = try await subscribe(harness, consumer, "LATEST")
        var messages = first.messages.makeAsyncIterator()
        #expect(await messages.next()?.type == "initial-response")
        _ = try await harness.put("s", ["a"])
        let pushed = try #require(await messages.next())
        #expect(pushed.type == "SubscribeToShardEvent")
        #expect(pushed.content["Records"]?.list?.count == 1)
        let continuation = pushed.content["ContinuationSequenceNumber"]?.string
        #expect(continuation == pushed.content["Records"]?.list?.first?["SequenceNumber"]?.string)
        #expect(
            await code { _ = try await subscribe(harness, consumer, "LATEST") } == "ResourceInUseException")

        await rest(harness)
        harness.time.advance(by: .seconds(5))
        let heartbeat = try #require(await messages.next())
        #expect(heartbeat.content["Records"]?.list?.isEmpty == true)
        #expect(heartbeat.content["ContinuationSequenceNumber"]?.string == continuation)

        let second = try await subscribe(harness, consumer, "TRIM_HORIZON")
        let taken = try #require(await messages.next())
        #expect(taken.type == "ResourceInUseException")
        #expect(await messages.next() == nil)

        var others = second.messages.makeAsyncIterator()
        _ = await others.next()
        #expect(await others.next()?.content["Records"]?.list?.count == 1)
        await rest(harness)
        harness.time.advance(by: .seconds(Limits.subscriptionSeconds))
        // Heartbeats, and an end without an error after five minutes.
        while let message = await others.next() { #expect(message.type == "SubscribeToShardEvent") }
    }

    @Test func aDeregisteredConsumerAndAStoppedServerEndIt() async throws {
        let harness = try Harness()
        let consumer = try await consumer(harness)
        let one = try await subscribe(harness, consumer, "LATEST")
        var messages = one.messages.makeAsyncIterator()
        _ = await messages.next()
        _ = try await harness.call("DeregisterStreamConsumer", ["ConsumerARN": .string(consumer)])
        #expect(await messages.next()?.type == "ResourceNotFoundException")
        #expect(await messages.next() == nil)

        let made = try await harness.call(
            "RegisterStreamConsumer", ["StreamARN": .string(Harness.arn("s")), "ConsumerName": "d"])
        let other = try await subscribe(
            harness, Model.RegisterStreamConsumerOutput(made).consumer?.consumerARN ?? "", "LATEST")
        var rest = other.messages.makeAsyncIterator()
        _ = await rest.next()
        harness.service.stop()
        #expect(await rest.next() == nil)
    }
}

/// The messages of one subscription, as they are written.
private struct Subscribed {
    struct Message: Sendable {
        var type: String
        var content: Value
    }
    let messages: AsyncStream<Message>

    init(_ produce: @escaping @Sendable (any BodyWriter) async throws -> Void) {
        messages = AsyncStream { continuation in
            Task {
                try? await produce(Writer(continuation: continuation))
                continuation.finish()
            }
        }
    }

    private struct Writer: BodyWriter {
        let continuation: AsyncStream<Message>.Continuation

        func write(_ bytes: ByteBuffer) async throws {
            var decoder = EventStreamDecoder()
            for message in try decoder.feed(bytes) {
                var type = ""
                for header in message.headers where [":event-type", ":exception-type"].contains(header.name) {
                    if case .string(let text) = header.value { type = text }
                }
                continuation.yield(Message(type: type, content: (try? JSON.parse(message.payload)) ?? .null))
            }
        }
    }
}
