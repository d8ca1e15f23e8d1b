import Contracts
import Glibc
import Platform
import Synchronization

/// The log of one environment: what its processes write and what the platform says, in order, on the way to the sink.
/// Pipes are read when an invocation ends and by a slow beat in between (`EnvironmentCore`), not when they become
/// readable: a function that prints and answers costs two reads and wakes no thread, and one that floods is held back
/// by its full pipe.
final class LogCollector: Sendable {
    private struct Pipe {
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

    init(scope: AccountRegion, group: String, stream: String, sink: any LogSink, time: any TimeSource) {
        self.scope = scope
        self.group = group
        self.stream = stream
        self.sink = sink
        self.time = time
    }

    /// Takes over the read ends of a process's pipes.
    func attach(stdout: CInt, stderr: CInt, framed: Bool) {
        state.withLock { state in
            state.pipes.append(Pipe(descriptor: stdout, splitter: LogSplitter(readsFrames: framed)))
            state.pipes.append(Pipe(descriptor: stderr, splitter: LogSplitter(readsFrames: false)))
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

    /// The end of an invocation: what the processes have written until now, unfinished lines too, then the platform's
    /// lines. Answers the tail, when it was wanted.
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
            for pipe in state.pipes { close(pipe.descriptor) }
            state.pipes.removeAll()
            deliver(events, &state)
        }
    }

    /// Takes what is there; answers how many bytes it was.
    func drain() -> Int {
        state.withLock { state in
            guard !state.pipes.isEmpty else { return 0 }
            var events: [LogEvent] = []
            var total = 0
            let now = time.now()
            for index in state.pipes.indices.reversed() {
                total += read(at: index, limit: Limits.pipeReadBytes, flushes: false, now: now, &events, &state)
            }
            deliver(events, &state)
            return total
        }
    }

    /// Reads one pipe until it is empty or the limit is reached; a pipe at its end is closed and removed. Answers how
    /// much.
    @discardableResult
    private func read(
        at index: Int, limit: Int, flushes: Bool, now: Instant, _ events: inout [LogEvent], _ state: inout State
    ) -> Int {
        var taken: [LogEvent] = []
        func emit(_ bytes: [UInt8]) {
            taken.append(LogEvent(timestamp: now, message: String(decoding: bytes, as: UTF8.self)))
        }
        let descriptor = state.pipes[index].descriptor
        var total = 0
        let ended = withUnsafeTemporaryAllocation(byteCount: Limits.pipeReadBytes, alignment: 16) { buffer in
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
        if ended { close(state.pipes.remove(at: index).descriptor) }
        events += taken
        return total
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
