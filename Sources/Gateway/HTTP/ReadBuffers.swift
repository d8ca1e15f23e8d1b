import NIOCore

/// How large the next read of a connection may be. NIO keeps one buffer per connection for the next read, as large as it has
/// ever been; most connections are idle most of the time, so that here it keeps no more than the small first one, and every
/// later read has a buffer of its own, which goes when its bytes are taken.
struct ReadBuffers: RecvByteBufferAllocator {
    private let first: Int
    private var hasRead = false
    private var later: AdaptiveRecvByteBufferAllocator

    /// Bytes: of the first read, which stay with the connection; of the second; and the most, when much comes.
    init(first: Int, later: Int, most: Int) {
        self.first = first
        self.later = AdaptiveRecvByteBufferAllocator(minimum: min(2 << 10, later), initial: later, maximum: most)
    }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        hasRead ? later.buffer(allocator: allocator) : allocator.buffer(capacity: first)
    }

    /// "May grow", always: NIO asks for a buffer then, rather than to take the kept one.
    mutating func record(actualReadBytes: Int) -> Bool {
        if hasRead { _ = later.record(actualReadBytes: actualReadBytes) }
        hasRead = true
        return true
    }

    /// No hint: with one, NIO would let the kept buffer grow to it.
    func nextBufferSize() -> Int? { nil }
}
