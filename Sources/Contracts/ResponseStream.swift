public import NIOCore
import Synchronization

/// A function's response on its way from the environment that makes it to whoever asked: pieces in order, then how the
/// invocation ended. One writer, one reader. It holds at most `highWater` bytes and one more piece: a writer that is told to
/// pause stops reading from its function, so a slow reader slows the function.
///
/// A reader that goes away does not end the invocation (Lambda developer guide, "Response streaming": streams are not
/// interrupted when the client's connection breaks): what comes after is dropped.
public final class ResponseStream: Sendable {
    public typealias Begun = @Sendable (Result<StreamingResponse, any Error>) -> Void

    /// Bytes that wait for the reader before the writer is to pause. Ours: what a socket takes in one go.
    public static let highWater = 256 << 10
    /// Bytes of pieces that are read as one when several wait. Ours.
    static let joinedBytes = 64 << 10
    /// Bytes that a piece costs beside its content, about: the buffer's own storage and its place.
    static let pieceBytes = 128

    typealias Waiter = CheckedContinuation<ByteBuffer?, Never>

    private let state: Mutex<ResponseStreamMachine<Waiter>>
    private let executedVersion: String

    /// `begun` is called once, from any thread: with the first byte, with the end of a response that has none, or with the
    /// failure of an invocation that never began to answer.
    public init(executedVersion: String, begun: @escaping Begun) {
        self.executedVersion = executedVersion
        state = Mutex(ResponseStreamMachine(highWater: ResponseStream.highWater, begun: begun))
    }

    // MARK: The writer

    /// What kind of bytes come, before the first of them.
    public func announce(contentType: String?) { state.withLock { $0.contentType = contentType } }

    /// Takes one piece. False when the writer is to wait until `resume` is called, once, from any thread.
    public func write(_ piece: ByteBuffer, resume: @escaping @Sendable () -> Void) -> Bool {
        guard piece.readableBytes > 0 else { return true }
        let taken = state.withLock { $0.write(piece, resume: resume) }
        taken.begun?(.success(response()))
        taken.waiter?.resume(returning: piece)
        return taken.goesOn
    }

    /// The invocation is over. A result that was not streamed is the response as one piece.
    public func end(_ result: Result<InvocationResult, any Error>) {
        let ended = state.withLock { $0.end(result) }
        if let begun = ended.begun {
            if case .failure(let error) = result { begun(.failure(error)) } else { begun(.success(response())) }
        }
        ended.waiter?.resume(returning: nil)
        ended.resume?()
    }

    private func response() -> StreamingResponse {
        StreamingResponse(
            contentType: state.withLock { $0.contentType }, executedVersion: executedVersion,
            body: ResponseReader(self))
    }

    // MARK: The reader

    fileprivate func next() async -> ByteBuffer? {
        await withCheckedContinuation { (waiter: Waiter) in
            let read = state.withLock { $0.read(waiter) }
            read.resume?()
            switch read.outcome {
            case .piece(let piece): waiter.resume(returning: piece)
            case .end: waiter.resume(returning: nil)
            case .wait: break
            }
        }
    }

    fileprivate var ending: Result<InvocationResult, any Error>? { state.withLock { $0.ending } }

    fileprivate func abandon() {
        let left = state.withLock { $0.abandon() }
        left.resume?()
        left.waiter?.resume(returning: nil)
    }
}

/// The state of a `ResponseStream`, generic over who waits so that its rules are tested without a task.
struct ResponseStreamMachine<Waiter> {
    enum Outcome {
        case piece(ByteBuffer)
        case end
        /// The waiter is kept.
        case wait
    }

    private let highWater: Int
    private var pieces = CircularBuffer<ByteBuffer>()
    private var bytes = 0
    /// What the pieces hold, with their own storage: many of one byte weigh more than their bytes.
    private var weight: Int { bytes + pieces.count * ResponseStream.pieceBytes }
    private var isPaused = false
    private var isAbandoned = false
    private var begun: ResponseStream.Begun?
    private var waiter: Waiter?
    private var resume: (@Sendable () -> Void)?
    private(set) var ending: Result<InvocationResult, any Error>?
    var contentType: String?

    init(highWater: Int, begun: @escaping ResponseStream.Begun) {
        self.highWater = highWater
        self.begun = begun
    }

    /// The waiter, when there is one, is to be given the piece.
    mutating func write(
        _ piece: ByteBuffer, resume: @escaping @Sendable () -> Void
    ) -> (begun: ResponseStream.Begun?, waiter: Waiter?, goesOn: Bool) {
        guard !isAbandoned, ending == nil else { return (nil, nil, true) }
        let begun = self.begun.take()
        if let waiter = self.waiter.take() { return (begun, waiter, true) }
        pieces.append(piece)
        bytes += piece.readableBytes
        if weight >= highWater {
            isPaused = true
            self.resume = resume
        }
        return (begun, nil, !isPaused)
    }

    /// The waiter, when there is one, is to be told that this was the end. Nobody waits before the response has begun. A
    /// writer that waits goes on: what it still has goes nowhere.
    mutating func end(
        _ result: Result<InvocationResult, any Error>
    ) -> (begun: ResponseStream.Begun?, waiter: Waiter?, resume: (@Sendable () -> Void)?) {
        guard ending == nil else { return (nil, nil, nil) }
        ending = result
        isPaused = false
        let begun = self.begun.take()
        if begun != nil, !isAbandoned, case .success(let whole) = result, whole.functionError == nil,
            whole.payload.readableBytes > 0
        {
            pieces.append(whole.payload)
            bytes += whole.payload.readableBytes
        }
        return (begun, waiter.take(), resume.take())
    }

    mutating func read(_ waiter: Waiter) -> (outcome: Outcome, resume: (@Sendable () -> Void)?) {
        if var piece = pieces.popFirst() {
            // A reader that is behind gets small pieces together: each costs it a frame and a write.
            while let next = pieces.first, piece.readableBytes + next.readableBytes <= ResponseStream.joinedBytes {
                piece.writeImmutableBuffer(next)
                pieces.removeFirst()
            }
            bytes -= piece.readableBytes
            return (.piece(piece), takeResume(below: highWater / 2))
        }
        // A second reader is a mistake of its caller; it gets nothing.
        if ending != nil || isAbandoned || self.waiter != nil { return (.end, nil) }
        self.waiter = waiter
        return (.wait, takeResume(below: .max))
    }

    private mutating func takeResume(below limit: Int) -> (@Sendable () -> Void)? {
        guard isPaused, weight < limit else { return nil }
        isPaused = false
        return resume.take()
    }

    mutating func abandon() -> (resume: (@Sendable () -> Void)?, waiter: Waiter?) {
        isAbandoned = true
        pieces.removeAll()
        bytes = 0
        isPaused = false
        return (resume.take(), waiter.take())
    }
}

/// A response that has begun.
public struct StreamingResponse: Sendable {
    /// What the function says its bytes are; nil when it does not stream. Then they are JSON.
    public var contentType: String?
    public var executedVersion: String
    public var body: ResponseReader
}

/// The reading end of a `ResponseStream`; who lets go of it has abandoned the response.
public final class ResponseReader: Sendable {
    private let stream: ResponseStream

    fileprivate init(_ stream: ResponseStream) { self.stream = stream }

    deinit { stream.abandon() }

    /// The next piece; nil at the end. One caller at a time.
    public func next() async -> ByteBuffer? { await stream.next() }

    /// How the invocation ended, once `next` has answered nil: a result with `functionError` when the function failed, also
    /// after it had begun to answer (its payload then is the error's document); a failure when it was lost.
    public var ending: Result<InvocationResult, any Error>? { stream.ending }
}

extension FunctionInvoker {
    /// Runs the version now, and hands its response over while it is made. `completion` is called once, from any thread, when
    /// the response begins; failures as of `invoke`.
    public func invokeStreaming(
        _ function: FunctionVersion, _ invocation: Invocation, completion: @escaping ResponseStream.Begun
    ) {
        let stream = ResponseStream(executedVersion: function.version, begun: completion)
        var invocation = invocation
        invocation.stream = stream
        invoke(function, invocation) { stream.end($0) }
    }
}
