import Contracts
import Platform
import Storage
import Testing

@testable import SQS

/// Random sends, receives, deletions, visibility changes and steps of time, beside a plain model of what a queue promises.
@Suite struct SimulationTests {
    /// What the model knows of a message.
    private struct Known {
        var body: String
        var group: String?
        var visible: Instant
        var receives = 0
        var handle: String?
    }

    @Test(arguments: 1...6)
    func standardQueues(seed: UInt64) async throws { try await run(seed: seed, isFIFO: false) }

    @Test(arguments: 1...6)
    func ordersOfGroups(seed: UInt64) async throws { try await run(seed: seed, isFIFO: true) }

    private func run(seed: UInt64, isFIFO: Bool) async throws {
        var random = SplitMix(state: seed)
        let harness = try Harness()
        let suffix = isFIFO ? ".fifo" : ""
        let (queue, dead) = ("q" + suffix, "dead" + suffix)
        try await harness.queue(dead)
        let maximum = 3
        let policy = #"{"deadLetterTargetArn":"\#(Harness.arn(dead))","maxReceiveCount":\#(maximum)}"#
        try await harness.queue(queue, [("RedrivePolicy", policy), ("VisibilityTimeout", "10")])
        // In the order of sending.
        var model: [Known] = []
        var deadLetters: [String] = []
        for step in 0..<400 {
            let now = harness.time.now()
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<35:
                let group = isFIFO ? "g\(Int.random(in: 0..<5, using: &random))" : nil
                _ = try await harness.send(queue, "m\(step)", group: group, id: isFIFO ? "\(step)" : nil)
                model.append(Known(body: "m\(step)", group: group, visible: now))
            case 35..<65:
                let wanted = Int.random(in: 1...8, using: &random)
                let moved = Self.poison(&model, wanted: wanted, maximum: maximum, isFIFO: isFIFO, now: now)
                let receipt = try await harness.receive(queue, wanted)
                // The model decides who may come; the queue decides who does.
                for message in receipt.messages {
                    let index = try #require(model.firstIndex { $0.body == message.body }, "step \(step)")
                    let known = model[index]
                    #expect(known.visible <= now, "step \(step): \(message.body) is hidden")
                    #expect(known.receives < maximum, "step \(step): \(message.body) was received too often")
                    if isFIFO {
                        let before = model[..<index].filter { $0.group == known.group && $0.handle == nil }
                        #expect(before.allSatisfy { $0.visible > now + .seconds(5) || moved.contains($0.body) })
                        let closed = model.contains {
                            $0.group == known.group && $0.receives > 0 && $0.visible > now && $0.handle != "now"
                        }
                        #expect(!closed, "step \(step): group \(known.group ?? "") is closed")
                    }
                    model[index].receives += 1
                    #expect(message.attribute("ApproximateReceiveCount") == String(model[index].receives))
                    model[index].visible = now + .seconds(10)
                    model[index].handle = "now"
                }
                for message in receipt.messages {
                    guard let index = model.firstIndex(where: { $0.body == message.body }) else { continue }
                    model[index].handle = message.receiptHandle
                }
                let died = try await harness.receive(dead, 1_000)
                try await harness.delete(dead, died.handles)
                deadLetters += died.bodies
                // Dead letters are those that were received `maximum` times, and no others.
                for body in deadLetters {
                    if let index = model.firstIndex(where: { $0.body == body }) {
                        #expect(model[index].receives == maximum, "step \(step): \(body)")
                        model.remove(at: index)
                    }
                }
                if !isFIFO, receipt.messages.count < wanted {
                    #expect(!model.contains { $0.visible <= now }, "step \(step): something was left")
                }
            case 65..<80:
                guard let index = model.indices.filter({ model[$0].handle != nil }).randomElement(using: &random)
                else { continue }
                let handle = model[index].handle ?? ""
                try await harness.delete(queue, [handle])
                // A FIFO queue takes no deletion after the timeout.
                if !isFIFO || model[index].visible > now { model.remove(at: index) }
            case 80..<90:
                guard let index = model.indices.filter({ model[$0].handle != nil }).randomElement(using: &random)
                else { continue }
                let wait = Int.random(in: 0...20, using: &random)
                try await harness.release(queue, [model[index].handle ?? ""], after: .seconds(wait))
                if model[index].visible > now { model[index].visible = now + .seconds(wait) }
            default:
                harness.time.advance(by: .milliseconds(Int.random(in: 1...6_000, using: &random)))
            }
            let at = harness.time.now()
            let counts = try await harness.counts(queue)
            let visible = model.filter { $0.visible <= at }.count
            #expect(counts.visible == visible, "step \(step)")
            #expect(counts.notVisible == model.count - visible, "step \(step)")
            #expect(counts.delayed == 0)
        }
        #expect(!deadLetters.isEmpty)
        #expect(Set(deadLetters).count == deadLetters.count)
    }

    /// Bodies that a receive now would find over their count.
    private static func poison(
        _ model: inout [Known], wanted: Int, maximum: Int, isFIFO: Bool, now: Instant
    ) -> Set<String> {
        Set(model.filter { $0.receives >= maximum && $0.visible <= now }.map(\.body))
    }
}

/// A small seeded generator.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
