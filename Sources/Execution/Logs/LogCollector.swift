import Contracts
import Glibc
import Platform
import Synchronization

/// The log of one environment: what its processes write and what the platform says, in order, on the way to the sink.
/// stdout and stderr are one pipe, which keeps their order. It is read when init or an invocation ends and by a slow beat
/// in between (`EnvironmentCore`), not when it becomes readable: a function that prints and answers costs one read and
/// wakes no thread, and one that floods is held back by its full pipe.
final class LogCollector: Sendable {
    private struct Pipe {
        var descriptor: CInt
        var splitter: LogSplitter
    }
    private struct State {
        var pipe: Pipe?
        /// The last part of this invocation's text; nil when nobody wants it.
        var tail: [UInt8]?
        /// Of the last invocation that began: what comes after its end is still its work.
        var lineage: String?
    }

    private let state = Mutex(State())
    private let scope: AccountRegion
    private let group: String
    let stream: String
    private let sink: any LogSink
    private let time: any TimeSource
    private let filter: ApplicationLogFilter?

    init(
        scope: AccountRegion, group: String, stream: String, sink: any LogSink, time: any TimeSource,
        filter: ApplicationLogFilter? = nil
    ) {
        self.scope = scope
        self.group = group
        self.stream = stream
        self.sink = sink
        self.time = time
        self.filter = filter
    }

    /// Takes over the read end of a process's pipe, in place of an earlier one.
    func attach(_ descriptor: CInt, framed: Bool) {
        detach()
        state.withLock { $0.pipe = Pipe(descriptor: descriptor, splitter: LogSplitter(readsFrames: framed)) }
    }

    /// Begins to keep the tail of an invocation, or to keep none.
    func beginTail(_ wanted: Bool) { state.withLock { $0.tail = wanted ? [] : nil } }

    /// An invocation begins: what is written from now on carries the lineage of its trace.
    func begin(traceID: String?) {
        let lineage = traceID?.split(separator: ";").first { $0.hasPrefix("Lineage=") }.map { String($0) }
        state.withLock { $0.lineage = lineage }
    }

    /// Says lines of the platform.
    func append(_ lines: [String]) {
        guard !lines.isEmpty else { return }
        state.withLock { state in
            let now = time.now()
            deliver(lines.map { LogEvent(timestamp: now, message: $0, lineage: state.lineage) }, &state)
        }
    }

    /// The end of an invocation: what the processes have written until now, unfinished lines too, then the platform's
    /// lines. Answers the tail, when it was wanted.
    func finish(_ lines: [String]) -> [UInt8]? {
        state.withLock { state in
            var events: [LogEvent] = []
            let now = time.now()
            read(limit: Limits.finalDrainBytes, flushes: true, now: now, &events, &state)
            events += lines.map { LogEvent(timestamp: now, message: $0, lineage: state.lineage) }
            deliver(events, &state)
            defer { state.tail = nil }
            return state.tail.map { Array($0.suffix(Limits.logTailBytes)) }
        }
    }

    /// The processes are dead: reads what is left and closes the pipe.
    func detach() {
        state.withLock { state in
            var events: [LogEvent] = []
            read(limit: Limits.finalDrainBytes, flushes: true, now: time.now(), &events, &state)
            if let pipe = state.pipe { close(pipe.descriptor) }
            state.pipe = nil
            deliver(events, &state)
        }
    }

    /// Takes what is there, at most about `limit` bytes, and with `flushes` unfinished lines too; answers how many bytes it
    /// was.
    func drain(limit: Int = Limits.pipeReadBytes, flushes: Bool = false) -> Int {
        state.withLock { state in
            var events: [LogEvent] = []
            let total = read(limit: limit, flushes: flushes, now: time.now(), &events, &state)
            deliver(events, &state)
            return total
        }
    }

    /// Reads the pipe until it is empty or the limit is reached; at its end it is closed. Answers how much.
    @discardableResult
    private func read(
        limit: Int, flushes: Bool, now: Instant, _ events: inout [LogEvent], _ state: inout State
    ) -> Int {
        guard var pipe = state.pipe else { return 0 }
        let lineage = state.lineage
        state.pipe = nil  // so that its splitter is not copied
        func emit(_ bytes: [UInt8]) {
            if let filter, !filter.keeps(bytes) { return }
            events.append(LogEvent(timestamp: now, message: String(decoding: bytes, as: UTF8.self), lineage: lineage))
        }
        var total = 0
        let ended = withUnsafeTemporaryAllocation(byteCount: Limits.pipeReadBytes, alignment: 16) { buffer in
            while total < limit {
                let count = Glibc.read(pipe.descriptor, buffer.baseAddress, buffer.count)
                if count == 0 { return true }
                if count < 0 {
                    if errno == EINTR { continue }
                    return errno != EAGAIN
                }
                total += count
                pipe.splitter.feed(UnsafeRawBufferPointer(rebasing: buffer[..<count]), emit: emit)
                if count < buffer.count { return false }
            }
            return false
        }
        if flushes || ended { pipe.splitter.flush(emit: emit) }
        if ended {
            close(pipe.descriptor)
        } else {
            state.pipe = pipe
        }
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
