import Contracts
import NIOCore
import Testing

@testable import Gateway

/// Repeatable randomness.
private struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// A client's frame, masked.
func clientFrame(
    _ opcode: UInt8, _ payload: [UInt8], isFinal: Bool = true, mask: [UInt8] = [1, 2, 3, 4], first: UInt8? = nil,
    isMasked: Bool = true
) -> [UInt8] {
    var out = [first ?? ((isFinal ? 0x80 : 0) | opcode)]
    let flag: UInt8 = isMasked ? 0x80 : 0
    if payload.count < 126 {
        out.append(flag | UInt8(payload.count))
    } else if payload.count < 65_536 {
        out += [flag | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
    } else {
        out.append(flag | 127)
        for shift in stride(from: 56, through: 0, by: -8) { out.append(UInt8(payload.count >> shift & 255)) }
    }
    guard isMasked else { return out + payload }
    out += mask
    for (index, byte) in payload.enumerated() { out.append(byte ^ mask[index & 3]) }
    return out
}

@Suite struct WebSocketMachineTests {
    private static let limits = WebSocketLimits(frame: 32 << 10, message: 128 << 10, unsent: 256 << 10)

    private func events(_ bytes: [UInt8]) -> [WebSocketMachine.Event] {
        var machine = WebSocketMachine(limits: Self.limits)
        var input = ByteBuffer(bytes: bytes)
        var events: [WebSocketMachine.Event] = []
        while let event = machine.next(&input) { events.append(event) }
        return events
    }

    private func violation(_ bytes: [UInt8]) -> Int? {
        guard case .violation(let close)? = events(bytes).last else { return nil }
        return close.code
    }

    /// Whatever a client cuts its messages into, and wherever the network cuts the bytes, the same messages come out.
    @Test func messagesComeWholeHoweverTheyAreCut() {
        for seed in 0..<40 as Range<UInt64> {
            var random = Seeded(seed)
            var wire: [UInt8] = []
            var expected: [WebSocketMachine.Event] = []
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let isText = Bool.random(using: &random)
                let size = [0, 1, 125, 126, 3_000, 66_000].randomElement(using: &random) ?? 0
                let letters = (0..<61).map { _ in UInt8.random(in: 0x20...0x7E, using: &random) }
                let payload = (0..<size).map { letters[$0 % 61] }
                var rest = payload[...]
                var opcode: UInt8 = isText ? 1 : 2
                repeat {
                    let count = min(rest.count, Int.random(in: 0...(32 << 10), using: &random))
                    let isFinal = count == rest.count && Bool.random(using: &random)
                    let mask = (0..<4).map { _ in UInt8.random(in: 0...255, using: &random) }
                    wire += clientFrame(opcode, Array(rest.prefix(count)), isFinal: isFinal, mask: mask)
                    rest = rest.dropFirst(count)
                    opcode = 0
                    if Int.random(in: 0..<4, using: &random) == 0, !isFinal {
                        wire += clientFrame(9, [7])
                        expected.append(.ping(ByteBuffer(bytes: [7])))
                    }
                    if isFinal { break }
                } while true
                let bytes = ByteBuffer(bytes: payload)
                expected.append(.message(isText ? .text(bytes) : .binary(bytes)))
            }
            wire += clientFrame(8, [0x03, 0xE8] + Array("bye".utf8))
            expected.append(.close(WebSocketClose(code: 1000, reason: "bye")))

            var machine = WebSocketMachine(limits: Self.limits)
            var input = ByteBuffer()
            var got: [WebSocketMachine.Event] = []
            var place = 0
            while place < wire.count {
                let count = min(wire.count - place, Int.random(in: 1...20_000, using: &random))
                input.writeBytes(wire[place..<place + count])
                place += count
                while let event = machine.next(&input) { got.append(event) }
            }
            #expect(got == expected, "seed \(seed)")
        }
    }

    @Test func violationsHaveTheirCodes() {
        #expect(violation(clientFrame(1, [65], isMasked: false)) == 1002)
        #expect(violation(clientFrame(1, [65], first: 0xC1)) == 1002)
        #expect(violation(clientFrame(3, [65])) == 1002)
        #expect(violation(clientFrame(0, [65])) == 1002)
        #expect(violation(clientFrame(1, [65], isFinal: false) + clientFrame(1, [65])) == 1002)
        #expect(violation(clientFrame(9, [65], isFinal: false)) == 1002)
        #expect(violation(clientFrame(9, [UInt8](repeating: 1, count: 126))) == 1002)
        #expect(violation([0x81, 0xFE, 0, 5, 0, 0, 0, 0]) == 1002)
        #expect(violation([0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0]) == 1002)
        #expect(violation([0x81, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0]) == 1002)
        #expect(violation(clientFrame(8, [3])) == 1002)
        #expect(violation(clientFrame(8, [0x03, 0xED])) == 1002)
        #expect(violation(clientFrame(8, [0x03, 0xE8, 0xFF])) == 1007)
        #expect(violation(clientFrame(1, [0xC3])) == 1007)
        #expect(violation(clientFrame(1, [0xC3], isFinal: false) + clientFrame(0, [0xA4])) == nil)
        #expect(violation(clientFrame(1, [0xED, 0xA0, 0x80])) == 1007)
        #expect(violation(clientFrame(8, [])) == nil)
    }

    @Test func limitsAreKeptBeforeTheBytesCome() {
        let most = [UInt8](repeating: 65, count: 32 << 10)
        #expect(violation(clientFrame(1, most)) == nil)
        // Only the head has come.
        #expect(violation(Array(clientFrame(1, most + [65]).prefix(8))) == 1009)
        #expect(violation([0x82, 0xFF, 0x7F, 0, 0, 0, 0, 0, 0, 0]) == 1009)
        var wire = clientFrame(1, most, isFinal: false)
        for _ in 0..<2 { wire += clientFrame(0, most, isFinal: false) }
        #expect(events(wire + clientFrame(0, most)).count == 1)
        #expect(violation(wire + clientFrame(0, most)) == nil)
        #expect(violation(wire + clientFrame(0, most, isFinal: false) + clientFrame(0, [65]).prefix(2)) == 1009)
    }

    @Test func nothingComesAfterTheEnd() {
        let over = clientFrame(8, [])
        #expect(events(over + clientFrame(1, [65])).count == 1)
        #expect(events(clientFrame(3, []) + clientFrame(1, [65])).count == 1)
    }

    /// Random bytes never trap and never grow what is kept.
    @Test func noiseIsHarmless() {
        for seed in 0..<300 as Range<UInt64> {
            var random = Seeded(seed)
            var machine = WebSocketMachine(limits: Self.limits)
            var input = ByteBuffer()
            for _ in 0..<20 {
                input.writeBytes((0..<30).map { _ in UInt8.random(in: 0...255, using: &random) & 0x8F })
                while machine.next(&input) != nil {}
            }
            #expect(machine.heldBytes <= 128 << 10)
        }
    }

    @Test func theKeyIsAnsweredAsTheStandardShows() {
        #expect(WebSocketHandshake.accept(key: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }
}
