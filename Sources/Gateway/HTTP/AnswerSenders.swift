import Contracts
import Glibc
import NIOCore
import NIOPosix
import Platform

/// Sends a body that is not at hand when the head is written. Belongs to the connection's loop.
protocol AnswerSender: AnyObject {
    func becameWritable()
    /// The client is gone: let go of everything.
    func connectionClosed()
}

// MARK: Files

/// Sends parts of files one after the other: from file to socket without TLS, through memory with it. Small answers are
/// read whole, so that they leave with their head. Files are opened and read on NIO's thread pool, never on the loop.
final class FileSender: AnswerSender {
    private let parts: [FilePart]
    private var release: (@Sendable () -> Void)?
    private let channel: any Channel
    private let limits: GatewayLimits
    private let isSecure: Bool
    private let counters: GatewayCounters
    private var done: ((Bool) -> Void)?
    private var next = 0
    private var handle: NIOFileHandle?
    private var offset = 0
    private var end = 0

    /// Bytes read and encrypted at a time.
    private static let securePieceBytes = 128 << 10

    init(
        parts: [FilePart], release: @escaping @Sendable () -> Void, channel: any Channel, limits: GatewayLimits,
        isSecure: Bool, counters: GatewayCounters
    ) {
        self.parts = parts.filter { $0.length > 0 }
        self.release = release
        self.channel = channel
        self.limits = limits
        self.isSecure = isSecure
        self.counters = counters
    }

    /// Opens the first file. `opened` writes the head, with the whole body when it is given; `done` is told whether
    /// everything was sent. Neither is called after `connectionClosed`.
    func open(_ opened: @escaping (Result<ByteBuffer?, any Error>) -> Void, done: @escaping (Bool) -> Void) {
        self.done = done
        let parts = self.parts
        let total = parts.reduce(0) { $0 &+ $1.length }
        let pool = NIOSingletons.posixBlockingThreadPool
        if total <= limits.inlineFileBytes {
            pool.runIfActive(eventLoop: channel.eventLoop) { try FileSender.read(parts) }
                .assumeIsolated().whenComplete { [self] result in
                    guard self.done != nil else { return }
                    switch result {
                    case .success(let bytes):
                        opened(.success(bytes))
                        finish(true)
                    case .failure(let error):
                        letGo()
                        opened(.failure(error))
                    }
                }
            return
        }
        let first = parts[0]
        pool.runIfActive(eventLoop: channel.eventLoop) { try FileSender.openFile(first) }
            .assumeIsolated().whenComplete { [self] result in
                switch result {
                case .failure(let error):
                    guard self.done != nil else { return }
                    letGo()
                    opened(.failure(error))
                case .success(let descriptor):
                    guard self.done != nil else {
                        _ = Glibc.close(descriptor)
                        return
                    }
                    use(descriptor, first)
                    opened(.success(nil))
                    sendPiece()
                }
            }
    }

    func becameWritable() {}

    func connectionClosed() {
        done = nil
        letGo()
    }

    private func finish(_ whole: Bool) {
        let done = self.done
        self.done = nil
        letGo()
        done?(whole)
    }

    private func letGo() {
        try? handle?.close()
        handle = nil
        release?()
        release = nil
    }

    private func use(_ descriptor: CInt, _ part: FilePart) {
        handle = NIOFileHandle(_deprecatedTakingOwnershipOfDescriptor: descriptor)
        offset = Int(part.offset)
        end = Int(part.offset + part.length)
        next += 1
    }

    private func sendPiece() {
        guard let handle else { return }
        guard offset < end else { return openNext() }
        if isSecure { return sendThroughMemory(handle) }
        let upper = min(end, offset + limits.filePieceBytes)
        let region = FileRegion(fileHandle: handle, readerIndex: offset, endIndex: upper)
        counters.sent(upper - offset)
        offset = upper
        let written = channel.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { [self] result in
            if case .success = result { sendPiece() } else { finish(false) }
        }
        channel.pipeline.syncOperations.writeAndFlush(NIOAny(IOData.fileRegion(region)), promise: written)
    }

    private func sendThroughMemory(_ handle: NIOFileHandle) {
        let count = min(end - offset, FileSender.securePieceBytes)
        let position = offset
        counters.sent(count)
        offset += count
        // A descriptor of its own, so that the connection may close the handle while the pool still reads.
        guard let descriptor = try? handle.withUnsafeFileDescriptor({ dup($0) }), descriptor >= 0 else {
            return finish(false)
        }
        NIOSingletons.posixBlockingThreadPool.runIfActive(eventLoop: channel.eventLoop) {
            defer { _ = Glibc.close(descriptor) }
            var buffer = ByteBuffer()
            try FileSender.read(descriptor, offset: position, count: count, into: &buffer)
            return buffer
        }.assumeIsolated().whenComplete { [self] result in
            guard done != nil, case .success(let buffer) = result else { return finish(false) }
            let written = channel.eventLoop.makePromise(of: Void.self)
            written.futureResult.assumeIsolated().whenComplete { [self] result in
                if case .success = result { sendPiece() } else { finish(false) }
            }
            channel.pipeline.syncOperations.writeAndFlush(NIOAny(IOData.byteBuffer(buffer)), promise: written)
        }
    }

    private func openNext() {
        try? handle?.close()
        handle = nil
        guard next < parts.count else { return finish(true) }
        let part = parts[next]
        NIOSingletons.posixBlockingThreadPool.runIfActive(eventLoop: channel.eventLoop) {
            try FileSender.openFile(part)
        }.assumeIsolated().whenComplete { [self] result in
            guard case .success(let descriptor) = result else { return finish(false) }
            guard done != nil else {
                _ = Glibc.close(descriptor)
                return
            }
            use(descriptor, part)
            sendPiece()
        }
    }

    // MARK: Blocking, on the pool

    /// Throws `Failure` when the file is not there (.storage) or is shorter than the part (.corrupt).
    private static func openFile(_ part: FilePart) throws -> CInt {
        let descriptor = Glibc.open(part.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw Failure(.storage, "open \(part.path): errno \(errno)")
        }
        var status = stat()
        let (end, overflow) = part.offset.addingReportingOverflow(part.length)
        guard fstat(descriptor, &status) == 0, part.offset >= 0, !overflow, end <= Int64(status.st_size) else {
            _ = Glibc.close(descriptor)
            throw Failure(.corrupt, "\(part.path) is shorter than \(part.offset) + \(part.length) bytes")
        }
        return descriptor
    }

    private static func read(_ parts: [FilePart]) throws -> ByteBuffer {
        var buffer = ByteBuffer()
        for part in parts {
            let descriptor = try openFile(part)
            defer { _ = Glibc.close(descriptor) }
            try read(descriptor, offset: Int(part.offset), count: Int(part.length), into: &buffer)
        }
        return buffer
    }

    private static func read(_ descriptor: CInt, offset: Int, count: Int, into buffer: inout ByteBuffer) throws {
        var position = offset
        let end = offset + count
        while position < end {
            let got = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: end - position) { raw in
                max(pread(descriptor, raw.baseAddress, end - position, off_t(position)), 0)
            }
            guard got > 0 else { throw Failure(.storage, "read at \(position): errno \(errno)") }
            position += got
        }
    }
}

// MARK: Streams

/// Sends what a task writes, piece by piece; the task waits while the client does not take more.
final class StreamSender: AnswerSender {
    typealias Waiter = CheckedContinuation<Void, any Error>

    private let channel: any Channel
    private let length: Int64?
    private let isChunked: Bool
    private let counters: GatewayCounters
    private var done: ((Bool) -> Void)?
    private var sent: Int64 = 0
    private var waiters: [Waiter] = []

    init(
        channel: any Channel, length: Int64?, isChunked: Bool, counters: GatewayCounters,
        done: @escaping (Bool) -> Void
    ) {
        self.channel = channel
        self.length = length
        self.isChunked = isChunked
        self.counters = counters
        self.done = done
    }

    func run(_ produce: @escaping @Sendable (ConnectionBodyWriter) async throws -> Void) {
        let writer = ConnectionBodyWriter(self, eventLoop: channel.eventLoop)
        Task {
            do {
                try await produce(writer)
                writer.end(whole: true)
            } catch {
                writer.end(whole: false)
            }
        }
    }

    func becameWritable() {
        let ready = waiters
        waiters = []
        for waiter in ready { waiter.resume() }
    }

    func connectionClosed() {
        done = nil
        let gone = waiters
        waiters = []
        for waiter in gone { waiter.resume(throwing: ChannelError.ioOnClosedChannel) }
    }

    func write(_ bytes: ByteBuffer, _ waiter: Waiter) {
        guard done != nil, channel.isActive else { return waiter.resume(throwing: ChannelError.ioOnClosedChannel) }
        sent += Int64(bytes.readableBytes)
        if let length, sent > length {
            waiter.resume(throwing: Failure(.bug, "a streamed answer is longer than the \(length) bytes it announced"))
            return end(whole: false)
        }
        guard bytes.readableBytes > 0 else { return waiter.resume() }
        counters.sent(bytes.readableBytes)
        if isChunked {
            var head = channel.allocator.buffer(capacity: 16)
            head.writeString(String(bytes.readableBytes, radix: 16))
            head.writeStaticString("\r\n")
            write(head)
            write(bytes)
            var tail = channel.allocator.buffer(capacity: 2)
            tail.writeStaticString("\r\n")
            write(tail)
        } else {
            write(bytes)
        }
        channel.flush()
        if channel.isWritable { waiter.resume() } else { waiters.append(waiter) }
    }

    func end(whole: Bool) {
        guard let done else { return }
        self.done = nil
        let complete = whole && (length ?? sent) == sent
        if complete, isChunked {
            var last = channel.allocator.buffer(capacity: 8)
            last.writeStaticString("0\r\n\r\n")
            write(last)
        }
        channel.flush()
        done(complete)
    }

    private func write(_ bytes: ByteBuffer) {
        channel.pipeline.syncOperations.write(NIOAny(IOData.byteBuffer(bytes)), promise: nil)
    }
}

/// What the task that makes a streamed answer writes to.
final class ConnectionBodyWriter: BodyWriter {
    private let sender: NIOLoopBound<StreamSender>

    init(_ sender: StreamSender, eventLoop: any EventLoop) {
        self.sender = NIOLoopBound(sender, eventLoop: eventLoop)
    }

    func write(_ bytes: ByteBuffer) async throws {
        try await withCheckedThrowingContinuation { continuation in
            sender.eventLoop.execute { self.sender.value.write(bytes, continuation) }
        }
    }

    func end(whole: Bool) {
        sender.eventLoop.execute { self.sender.value.end(whole: whole) }
    }
}
