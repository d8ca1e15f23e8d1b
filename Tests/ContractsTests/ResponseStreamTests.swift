import NIOCore
import Synchronization
import Testing

@testable import Contracts

@Suite struct ResponseStreamTests {
    private static let done = Result<InvocationResult, any Error>.success(
        InvocationResult(payload: ByteBuffer(), functionError: nil, executedVersion: "1", logTail: nil))

    /// A function that writes byte by byte to a client who does not read holds no more than another.
    @Test func smallPiecesWeighMore() {
        var machine = ResponseStreamMachine<Int>(highWater: ResponseStream.highWater) { _ in }
        var pieces = 0
        while machine.write(ByteBuffer(bytes: [1]), resume: {}).goesOn, pieces < 1 << 20 { pieces += 1 }
        #expect(pieces < ResponseStream.highWater / ResponseStream.pieceBytes)
    }

    /// Any order of writes, reads, ends and departures: what is read is what was written, in order, as long as the reader
    /// stays; the writer is stopped above the mark and told to go on below it, once each time.
    @Test(arguments: 0..<300)
    func anyOrder(seed: UInt64) {
        var random = Random(state: seed)
        // Some pieces, which weigh more than what is in them.
        let highWater = 8 * ResponseStream.pieceBytes
        let begun = Mutex(0)
        var machine = ResponseStreamMachine<Int>(highWater: highWater) { _ in begun.withLock { $0 += 1 } }
        var written: [UInt8] = []
        var read: [UInt8] = []
        var waiting: Int?
        var isPaused = false
        let resumed = Mutex(0)
        var isOver = false
        var isAbandoned = false
        for step in 0..<200 {
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<9:
                // A writer that was told to wait does.
                guard !isPaused || resumed.withLock({ $0 }) > 0 else { continue }
                isPaused = false
                resumed.withLock { $0 = 0 }
                let bytes = (0..<Int.random(in: 1...40, using: &random)).map { _ in UInt8(truncatingIfNeeded: step) }
                let taken = machine.write(ByteBuffer(bytes: bytes)) { resumed.withLock { $0 += 1 } }
                taken.begun?(.failure(CancellationError()))
                if !isOver, !isAbandoned { written += bytes }
                if let waiter = taken.waiter {
                    #expect(waiter == waiting)
                    waiting = nil
                    read += bytes
                }
                isPaused = !taken.goesOn
            case 9..<18:
                guard waiting == nil else { continue }
                let result = machine.read(step)
                result.resume?()
                switch result.outcome {
                case .piece(let piece): read += Array(piece.readableBytesView)
                case .end: #expect(isOver || isAbandoned)
                case .wait: waiting = step
                }
            case 18 where step > 150:
                let ended = machine.end(Self.done)
                ended.begun?(.failure(CancellationError()))
                ended.resume?()
                if ended.waiter != nil { waiting = nil }
                isOver = true
            case 19 where seed % 3 == 0 && step > 100:
                let left = machine.abandon()
                left.resume?()
                if left.waiter != nil { waiting = nil }
                isAbandoned = true
            default: break
            }
            #expect(resumed.withLock { $0 } <= 1)
            #expect(begun.withLock { $0 } <= 1)
            if !isAbandoned { #expect(written.count - read.count < highWater + 40) }
        }
        #expect(written.starts(with: read))
        guard !isAbandoned else {
            #expect(!isPaused || resumed.withLock { $0 } > 0, "nobody would ever let the writer go on")
            return
        }
        _ = machine.end(Self.done)
        if waiting == nil {
            while case .piece(let piece) = machine.read(0).outcome { read += Array(piece.readableBytesView) }
        }
        #expect(read == written)
    }

    @Test func aResultThatDoesNotStreamIsOnePiece() async throws {
        let begun = Mutex<StreamingResponse?>(nil)
        let stream = ResponseStream(executedVersion: "7") { result in begun.withLock { $0 = try? result.get() } }
        #expect(begun.withLock { $0 == nil })
        stream.end(
            .success(
                InvocationResult(
                    payload: ByteBuffer(string: "{}"), functionError: nil, executedVersion: "7", logTail: nil)))
        let response = try #require(begun.withLock { $0 })
        #expect(response.executedVersion == "7" && response.contentType == nil)
        #expect(await response.body.next() == ByteBuffer(string: "{}"))
        #expect(await response.body.next() == nil)
    }

    @Test func aFailureBeforeTheFirstByte() async throws {
        let outcome = Mutex<Result<StreamingResponse, any Error>?>(nil)
        let lost = ResponseStream(executedVersion: "1") { result in outcome.withLock { $0 = result } }
        lost.end(.failure(CancellationError()))
        #expect(throws: CancellationError.self) { try outcome.withLock { $0 }?.get() }
        // The function's own failure is a response without bytes.
        let failed = ResponseStream(executedVersion: "1") { result in outcome.withLock { $0 = result } }
        let result = InvocationResult(
            payload: ByteBuffer(string: "{}"), functionError: "Unhandled", executedVersion: "1", logTail: nil)
        failed.end(.success(result))
        let response = try #require(try outcome.withLock { $0 }?.get())
        outcome.withLock { $0 = nil }
        #expect(await response.body.next() == nil)
        #expect(try response.body.ending?.get().functionError == "Unhandled")
    }

    @Test func whoLetsGoOfTheReaderLetsTheWriterGoOn() async throws {
        let begun = Mutex<StreamingResponse?>(nil)
        let stream = ResponseStream(executedVersion: "1") { result in begun.withLock { $0 = try? result.get() } }
        let resumed = Atomic<Int>(0)
        let large = ByteBuffer(repeating: 1, count: ResponseStream.highWater)
        #expect(!stream.write(large) { resumed.add(1, ordering: .relaxed) })
        begun.withLock { $0 = nil }
        let count = resumed.load(ordering: .relaxed)
        #expect(count == 1)
        #expect(stream.write(large) { resumed.add(1, ordering: .relaxed) })
    }
}

/// SplitMix64.
private struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
