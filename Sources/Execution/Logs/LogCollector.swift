import Contracts
import Glibc
import Platform
import Synchronization

/// The log of one environment: what its processes write and what the platform says, in order, on the way to the sink.
/// Called by the environment's loop and by the pump; the lock is held while the sink takes events, so that they stay in order.
final class LogCollector: Sendable {
    private struct Pipe {
        var token: UInt64
        var descriptor: CInt
        var splitter: LogSplitter
    }
    private struct State {
        var pipes: [Pipe] = []
        /// The last part of this invocation's text; nil when nobody wants it.
        var tail: [UInt8]?
    }

    private let state = Mutex(State())
    private let scope: AccountRegion
    private let group: String
    let stream: String
    private let sink: any LogSink
    private let time: any TimeSource
    private let pump: LogPump

    init(
        scope: AccountRegion, group: String, stream: String, sink: any LogSink, time: any TimeSource,
        pump: LogPump = .shared
    ) {
        self.scope = scope
        self.group = group
        self.stream = stream
        self.sink = sink
        self.time = time
        self.pump = pump
    }

    /// Takes over the read ends of a process's pipes.
    func attach(stdout: CInt, stderr: CInt, framed: Bool) {
        for (descriptor, framed) in [(stdout, framed), (stderr, false)] {
            // The pump may call before the pipe is in the list; the lock makes it wait.
            state.withLock { state in
                let token = pump.add(descriptor) { [weak self] token in self?.readable(token) }
                guard let token else {
                    close(descriptor)
                    return
                }
                state.pipes.append(
                    Pipe(token: token, descriptor: descriptor, splitter: LogSplitter(readsFrames: framed)))
            }
        }
    }

    /// Begins to keep the tail of an invocation, or to keep none.
    func beginTail(_ wanted: Bool) { state.withLock { $0.tail = wanted ? [] : nil } }

    /// Says lines of the platform.
    func append(_ lines: [String]) {
        guard !lines.isEmpty else { return }
        state.withLock { state in
            let now = time.now()
            deliver(lines.map { LogEvent(timestamp: now, message: $0) }, &state)
        }
    }

    /// The end of an invocation: what the processes have written until now, unfinished lines too, then the platform's lines.
    /// Answers the tail, when it was wanted.
    func finish(_ lines: [String]) -> [UInt8]? {
        state.withLock { state in
            var events: [LogEvent] = []
            let now = time.now()
            for index in state.pipes.indices.reversed() {
                read(at: index, limit: Limits.finalDrainBytes, flushes: true, now: now, &events, &state)
            }
            events += lines.map { LogEvent(timestamp: now, message: $0) }
            deliver(events, &state)
            defer { state.tail = nil }
            return state.tail.map { Array($0.suffix(Limits.logTailBytes)) }
        }
    }

    /// The processes are dead: reads what is left and closes the pipes.
    func detach() {
        state.withLock { state in
            var events: [LogEvent] = []
            let now = time.now()
            for index in state.pipes.indices.reversed() {
                read(at: index, limit: Limits.finalDrainBytes, flushes: true, now: now, &events, &state)
            }
            for pipe in state.pipes { release(pipe) }
            state.pipes.removeAll()
            deliver(events, &state)
        }
    }

    private func readable(_ token: UInt64) {
        state.withLock { state in
            guard let index = state.pipes.firstIndex(where: { $0.token == token }) else { return }
            var events: [LogEvent] = []
            read(at: index, limit: Limits.pipeReadBytes, flushes: false, now: time.now(), &events, &state)
            deliver(events, &state)
        }
    }

    /// Reads one pipe until it is empty or the limit is reached; a pipe at its end is closed and removed.
    private func read(
        at index: Int, limit: Int, flushes: Bool, now: Instant, _ events: inout [LogEvent], _ state: inout State
    ) {
        var taken: [LogEvent] = []
        func emit(_ bytes: [UInt8]) {
            taken.append(LogEvent(timestamp: now, message: String(decoding: bytes, as: UTF8.self)))
        }
        let descriptor = state.pipes[index].descriptor
        let ended = withUnsafeTemporaryAllocation(byteCount: Limits.pipeReadBytes, alignment: 16) { buffer in
            var total = 0
            while total < limit {
                let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                if count == 0 { return true }
                if count < 0 {
                    if errno == EINTR { continue }
                    return errno != EAGAIN
                }
                total += count
                let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
                state.pipes[index].splitter.feed(bytes, emit: emit)
                if count < buffer.count { return false }
            }
            return false
        }
        if flushes || ended { state.pipes[index].splitter.flush(emit: emit) }
        if ended { release(state.pipes.remove(at: index)) }
        events += taken
    }

    private func release(_ pipe: Pipe) {
        pump.remove(pipe.token, pipe.descriptor)
        close(pipe.descriptor)
    }

    private func deliver(_ events: [LogEvent], _ state: inout State) {
        guard !events.isEmpty else { return }
        if state.tail != nil {
            for event in events { state.tail?.append(contentsOf: event.message.utf8) }
            if let count = state.tail?.count, count > 4 * Limits.logTailBytes {
                state.tail?.removeFirst(count - Limits.logTailBytes)
            }
        }
        sink.append(scope: scope, group: group, stream: stream, events: events)
    }
}
