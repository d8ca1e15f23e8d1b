import Contracts
import NIOCore
import Platform
import Synchronization

/// Watches a streamed body for the access log. Tells once when it is over, which it also is when nobody asks for it any more.
final class StreamMeter: Sendable {
    struct Reading: Sendable {
        var bytes = 0
        /// Uptime, nanoseconds; nil before there was any content.
        var firstContent: UInt64?
    }

    private let state = Mutex(Reading())
    private let once = Once()
    private let time: any TimeSource
    private let over: @Sendable (Reading) -> Void

    init(time: any TimeSource, over: @escaping @Sendable (Reading) -> Void) {
        self.time = time
        self.over = over
    }

    deinit { ended() }

    func ended() {
        if once.take() { over(state.withLock { $0 }) }
    }

    /// Hands on what is written to it.
    struct Writer: BodyWriter {
        let meter: StreamMeter
        let writer: any BodyWriter

        func write(_ bytes: ByteBuffer) async throws {
            let now = meter.time.uptimeNanoseconds()
            meter.state.withLock { $0.firstContent = $0.firstContent ?? now }
            try await writer.write(bytes)
            meter.state.withLock { $0.bytes += bytes.readableBytes }
        }
    }
}

/// Collects a streamed body, as far as it is wanted.
final class StreamCollector: BodyWriter {
    private let limit: Int
    /// Nil when it has been taken.
    private let held = Mutex<ByteBuffer?>(ByteBuffer())

    init(limit: Int) { self.limit = limit }

    /// Throws `Failure` when there is more than is wanted: the rest is not asked for then.
    func write(_ bytes: ByteBuffer) async throws {
        let isWanted = held.withLock { held in
            guard var all = held, all.readableBytes < limit || bytes.readableBytes == 0 else { return false }
            held = nil
            all.writeImmutableBuffer(bytes.getSlice(at: bytes.readerIndex, length: room(all, bytes)) ?? ByteBuffer())
            held = all
            return true
        }
        if !isWanted { throw Failure(.unavailable, "the rest of the stream is not wanted") }
    }

    private func room(_ all: ByteBuffer, _ bytes: ByteBuffer) -> Int {
        min(bytes.readableBytes, limit - all.readableBytes)
    }

    func take() -> ByteBuffer { held.withLock { $0.take() } ?? ByteBuffer() }
}
