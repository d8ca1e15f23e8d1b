import EventPatterns
import Platform
import Testing

@testable import EventSources
@testable import SQS
@testable import Wire

/// What queues, their mappings and their patterns decode.
@Suite struct MessagingFuzz {
    @Test(arguments: Mutator.seeds) func patterns(seed: UInt64) throws {
        var random = Mutator(seed: seed)
        let pattern = Array(
            #"""
            {"source":["a",{"prefix":"b"},{"anything-but":{"suffix":[".x"]}}],"detail":{"n":[{"numeric":[">",1,"<=",5e2]}],
            "ip":[{"cidr":"10.0.0.0/8"}],"w":[{"wildcard":"a*b\\*"}],"e":[{"exists":false},null,true,1.50]},
            "$or":[{"x":["y"]},{"z":[{"equals-ignore-case":"Q"}]}]}
            """#.utf8)
        let event = try JSON.parse(
            #"{"source":"a.x","detail":{"n":3,"ip":"10.1.2.3","w":"axxb*","e":null,"list":[1,{"n":2}]},"x":"y"}"#)
        let dialects: [Dialect] = [.eventBridge, .eventSourceMapping]
        #expect((try? EventPattern(json: pattern, dialect: .eventBridge)) != nil)
        for _ in 0..<(400 * Mutator.factor) {
            let changed = random.mutated(pattern)
            for dialect in dialects {
                do { _ = try EventPattern(json: changed, dialect: dialect).matches(event) } catch {
                    #expect(!error.message.isEmpty)
                }
            }
            let text = String(decoding: changed, as: UTF8.self)
            if let policy = try? FilterPolicy(json: text, scope: .messageBody) { _ = policy.matches(body: event) }
        }
    }

    @Test(arguments: Mutator.seeds) func queues(seed: UInt64) {
        var random = Mutator(seed: seed)
        let handles = ReceiptHandles(serverKey: [UInt8](repeating: 3, count: 32))
        let handle = ReceiptHandle(queue: 4, message: 1_234_567, receive: 2, isLarge: true)
        let text = handles.text(handle)
        #expect(handles.read(text) == handle)
        for _ in 0..<(800 * Mutator.factor) {
            let changed = random.mutated(text)
            if changed != text { #expect(handles.read(changed) == nil, "\(changed)") }
            _ = try? QueueAddress(url: random.mutated("http://127.0.0.1:4566/000000000000/queue.fifo"))
            _ = try? QueuePolicy(
                random.mutated(
                    #"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sqs:*","Resource":"*","Condition":{"ArnLike":{"aws:SourceArn":"a*"}}}]}"#
                ))
            _ = try? QueueAttributes(creating: [
                (
                    key: "RedrivePolicy",
                    value: random.mutated(#"{"deadLetterTargetArn":"arn:aws:sqs:r:0:q","maxReceiveCount":"3"}"#)
                ),
                (key: "VisibilityTimeout", value: random.mutated("30")),
            ])
            _ = try? QueueAttributes(stored: random.mutated(QueueAttributes().stored))
            _ = Envelope(encoded: random.mutated(Envelope().encoded))
            _ = TraceHeader.passing(
                "arn", random.mutated("Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=1:abcdef01:3|a:1%7Cb:2"))
        }
    }

    @Test(arguments: Mutator.seeds) func answersOfBatches(seed: UInt64) {
        var random = Mutator(seed: seed)
        let answer = Array(#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"b"}]}"#.utf8)
        #expect(BatchAnswer(answer, isKnown: ["a", "b"].contains) == .failed(["a", "b"]))
        for _ in 0..<(1_500 * Mutator.factor) {
            // Only what is known may be named as failed; anything unclear fails the whole batch.
            if case .failed(let names) = BatchAnswer(random.mutated(answer), isKnown: ["a", "b"].contains) {
                #expect(names.isSubset(of: ["a", "b"]))
            }
        }
    }
}
