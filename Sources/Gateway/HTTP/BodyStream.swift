import NIOCore
import Synchronization
import Wire

/// Why a request body cannot be had.
enum BodyFailure: Error, Sendable, Equatable {
    case cutShort, tooSlow, tooLarge, malformed
    /// The answer was given before the body's end.
    case abandoned
    /// The server holds as many bodies as it may.
    case overBudget
}

/// The pieces of a streamed body between the connection that brings them and the one reader that takes them.
struct BodyStreamMachine<Waiter> {
    private enum Arrival {
        case open
        case ended
        case failed(any Error)
    }

    /// For the reader.
    enum Pulled {
        case piece(ByteBuffer, wantsMore: Bool)
        case end
        case failure(any Error)
        /// The waiter is kept; input is wanted.
        case wait
    }

    private var pieces = CircularBuffer<ByteBuffer>()
    private var bytes = 0
    private var arrival = Arrival.open
    private var waiter: Waiter?
    private let highWater: Int
    private var isPaused = false

    init(highWater: Int) { self.highWater = highWater }

    /// Answers the waiter that takes the piece at once, when there is one.
    mutating func push(_ piece: ByteBuffer) -> Waiter? {
        if let waiter {
            self.waiter = nil
            return waiter
        }
        pieces.append(piece)
        bytes += piece.readableBytes
        isPaused = bytes >= highWater
        return nil
    }

    /// The body's end or failure; answers the waiter to be told. Later calls change nothing.
    mutating func finish(_ failure: (any Error)?) -> Waiter? {
        guard case .open = arrival else { return nil }
        arrival = failure.map { .failed($0) } ?? .ended
        defer { waiter = nil }
        return waiter
    }

    /// Pieces that came before a failure are still given out first, as they were received.
    mutating func pull(_ waiter: Waiter) -> Pulled {
        if let piece = pieces.popFirst() {
            bytes -= piece.readableBytes
            let resumes = isPaused && bytes < highWater / 2
            if resumes { isPaused = false }
            return .piece(piece, wantsMore: resumes)
        }
        switch arrival {
        case .ended: return .end
        case .failed(let error): return .failure(error)
        case .open:
            guard self.waiter == nil else { return .failure(BodyFailure.abandoned) }
            self.waiter = waiter
            return .wait
        }
    }

    var wantsMore: Bool {
        if case .open = arrival { !isPaused } else { false }
    }
}

/// A request body as it comes from the connection, before aws-chunked framing is removed.
final class ConnectionBodyStream: Sendable {
    private typealias Waiter = CheckedContinuation<ByteBuffer?, any Error>
    private struct State {
        var machine: BodyStreamMachine<Waiter>
        var trailers: [(name: String, value: String)] = []
    }
    private let state: Mutex<State>
    private let resumeReading: @Sendable () -> Void

    /// `resumeReading` may be called on any thread.
    init(highWater: Int, resumeReading: @escaping @Sendable () -> Void) {
        state = Mutex(State(machine: BodyStreamMachine(highWater: highWater)))
        self.resumeReading = resumeReading
    }

    var trailers: [(name: String, value: String)] { state.withLock { $0.trailers } }
    var wantsMore: Bool { state.withLock { $0.machine.wantsMore } }

    func push(_ piece: ByteBuffer) {
        let waiter = state.withLock { $0.machine.push(piece) }
        waiter?.resume(returning: piece)
    }

    func finish(trailers: [(name: String, value: String)]) {
        let waiter = state.withLock { state in
            state.trailers = trailers
            return state.machine.finish(nil)
        }
        waiter?.resume(returning: nil)
    }

    func fail(_ error: any Error) {
        let waiter = state.withLock { $0.machine.finish(error) }
        waiter?.resume(throwing: error)
    }

    /// The next piece, nil at the end. One reader at a time.
    func next() async throws -> ByteBuffer? {
        try await withCheckedThrowingContinuation { continuation in
            switch state.withLock({ $0.machine.pull(continuation) }) {
            case .piece(let piece, let wantsMore):
                if wantsMore { resumeReading() }
                continuation.resume(returning: piece)
            case .end: continuation.resume(returning: nil)
            case .failure(let error): continuation.resume(throwing: error)
            case .wait: resumeReading()
            }
        }
    }
}
