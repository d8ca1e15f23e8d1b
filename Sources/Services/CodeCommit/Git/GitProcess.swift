import Glibc
import NIOCore
import Platform
import Synchronization

/// What ended a process of git before its time.
enum GitFailure: Error, Sendable, Equatable {
    /// It reads no more: it has ended, or is about to.
    case inputClosed
    case killed
    case outOfTime
}

/// A running process with its three streams, served by one thread, which also is its parent: the process asks the kernel to
/// be killed when that thread ends, so that none outlives the server.
///
/// Bytes wait on both sides: `write` returns when the process has taken them, and a process whose output nobody reads stops
/// at `Limits.outputHighWater`.
final class GitProcess: Sendable {
    typealias Waiter<T> = CheckedContinuation<T, any Error>

    private struct State {
        var input: ByteBuffer?
        var inputWaiter: Waiter<Void>?
        var isInputEnding = false
        var isInputClosed = false
        var output = CircularBuffer<ByteBuffer>()
        var outputBytes = 0
        var outputWaiter: Waiter<ByteBuffer?>?
        var isOutputEnded = false
        var errors: [UInt8] = []
        var status: CInt?
        var statusWaiters: [CheckedContinuation<CInt, Never>] = []
        var failure: GitFailure?
    }

    private struct Descriptors {
        var input: CInt
        var output: CInt
        var errors: CInt
        var wake: CInt
    }

    private let state = Mutex(State())
    private let process: pid_t
    private let wakeUp: CInt

    /// Starts the program of the first argument. Throws `Failure` when it cannot be.
    static func start(
        _ arguments: [String], environment: [String], deadline: Duration, time: any TimeSource
    ) async throws -> GitProcess {
        try await withCheckedThrowingContinuation { continuation in
            let body: @Sendable () -> Void = {
                do {
                    let (process, descriptors) = try GitProcess.spawn(arguments, environment)
                    continuation.resume(returning: process)
                    process.serve(descriptors, deadline: deadline, time: time)
                } catch {
                    continuation.resume(throwing: error)
                }
            }
            do { try startThread(body) } catch { continuation.resume(throwing: error) }
        }
    }

    private init(process: pid_t, wakeUp: CInt) {
        self.process = process
        self.wakeUp = wakeUp
    }

    deinit { close(wakeUp) }

    // MARK: For its user

    /// Hands bytes to the process; returns when it has taken them all. One writer at a time. Throws `GitFailure`.
    func write(_ bytes: ByteBuffer) async throws {
        guard bytes.readableBytes > 0 else { return }
        try await withCheckedThrowingContinuation { (continuation: Waiter<Void>) in
            let failure: GitFailure? = state.withLock { state in
                if let failure = state.failure { return failure }
                if state.isInputClosed || state.isInputEnding || state.inputWaiter != nil { return .inputClosed }
                state.input = bytes
                state.inputWaiter = continuation
                return nil
            }
            if let failure { return continuation.resume(throwing: failure) }
            wake()
        }
    }

    /// Says that no more input comes.
    func endInput() {
        state.withLock { $0.isInputEnding = true }
        wake()
    }

    /// The next piece of output; nil at its end. One reader at a time. Throws `GitFailure` when it was killed.
    func read() async throws -> ByteBuffer? {
        try await withCheckedThrowingContinuation { (continuation: Waiter<ByteBuffer?>) in
            let (answer, wakes): (Result<ByteBuffer?, any Error>?, Bool) = state.withLock { state in
                if let piece = state.output.popFirst() {
                    let wasFull = state.outputBytes >= Limits.outputHighWater
                    state.outputBytes -= piece.readableBytes
                    return (.success(piece), wasFull && state.outputBytes < Limits.outputHighWater)
                }
                if let failure = state.failure { return (.failure(failure), false) }
                if state.isOutputEnded { return (.success(nil), false) }
                guard state.outputWaiter == nil else { return (.failure(GitFailure.inputClosed), false) }
                state.outputWaiter = continuation
                return (nil, false)
            }
            if wakes { wake() }
            if let answer { continuation.resume(with: answer) }
        }
    }

    /// Waits for its end. The exit code, or 128 and the number of the signal.
    func exit() async -> CInt {
        await withCheckedContinuation { continuation in
            let status: CInt? = state.withLock { state in
                if state.status == nil { state.statusWaiters.append(continuation) }
                return state.status
            }
            if let status { continuation.resume(returning: status) }
        }
    }

    /// The beginning of what it wrote to its error output.
    var errorText: String { state.withLock { String(decoding: $0.errors, as: UTF8.self) } }
    var failure: GitFailure? { state.withLock { $0.failure } }

    /// Ends it and all that it has started, now. Does nothing when it has ended.
    func kill(_ why: GitFailure = .killed) {
        let mayKill: Bool = state.withLock { state in
            guard state.status == nil, state.failure == nil else { return false }
            state.failure = why
            // Under the lock, under which the number is given back too: it cannot be anybody else's yet.
            Glibc.kill(-process, SIGKILL)
            return true
        }
        if mayKill { wake() }
    }

    private func wake() {
        var byte: UInt8 = 1
        // Full: then it is awake already. The thread may have gone.
        _ = send(wakeUp, &byte, 1, CInt(MSG_NOSIGNAL))
    }

    // MARK: Starting

    private static func spawn(_ arguments: [String], _ environment: [String]) throws -> (GitProcess, Descriptors) {
        var open: [CInt] = []
        var succeeded = false
        defer { if !succeeded { for descriptor in open { close(descriptor) } } }
        // Sockets, so that writing to a process that has ended is an error and no signal.
        func pair(_ flags: UInt32 = 0) throws -> (CInt, CInt) {
            var ends: [CInt] = [-1, -1]
            let kind = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | flags)
            guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
                throw Failure(.limit, "No pipe for git: errno \(errno)")
            }
            open += ends
            return (ends[0], ends[1])
        }
        guard let program = arguments.first else { throw Failure(.bug, "no program") }
        let (input, childInput) = try pair()
        let (output, childOutput) = try pair()
        let (errors, childErrors) = try pair()
        let (wake, wakeUp) = try pair(SOCK_NONBLOCK.rawValue)
        for descriptor in [input, output, errors] {
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (descriptor, place) in [(childInput, 0), (childOutput, 1), (childErrors, 2)] as [(CInt, CInt)] {
            posix_spawn_file_actions_adddup2(&actions, descriptor, place)
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var arguments: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer {
            for text in arguments { free(text) }
            for text in environment { free(text) }
        }
        var process: pid_t = 0
        let code = posix_spawn(&process, program, &actions, &attributes, &arguments, &environment)
        guard code == 0 else { throw Failure(.unavailable, "git cannot be started: errno \(code)") }
        succeeded = true
        for descriptor in [childInput, childOutput, childErrors] { close(descriptor) }
        return (
            GitProcess(process: process, wakeUp: wakeUp),
            Descriptors(input: input, output: output, errors: errors, wake: wake)
        )
    }

    // MARK: The thread

    private func serve(_ given: Descriptors, deadline: Duration, time: any TimeSource) {
        var descriptors = given
        let end = time.uptimeNanoseconds() &+ UInt64(max(deadline.clampedNanoseconds, 0))
        while descriptors.output >= 0 || descriptors.errors >= 0 {
            if time.uptimeNanoseconds() >= end { kill(.outOfTime) }
            var polled = interest(descriptors)
            let count = poll(&polled, nfds_t(polled.count), 1_000)
            if count < 0, errno != EINTR { kill() }
            guard count > 0 else {
                if failure != nil { break }
                continue
            }
            drainWake(descriptors.wake)
            if polled[0].revents != 0 { writeInput(&descriptors.input) }
            if polled[1].revents != 0 { readOutput(&descriptors.output) }
            if polled[2].revents != 0 { readErrors(&descriptors.errors) }
            if failure != nil { break }
            closeInputIfEnding(&descriptors.input)
        }
        ended(descriptors, deadline: end, time: time)
    }

    private func interest(_ descriptors: Descriptors) -> [pollfd] {
        let (writes, reads) = state.withLock { state in
            (state.input != nil, state.outputBytes < Limits.outputHighWater)
        }
        func entry(_ descriptor: CInt, _ events: CInt, _ wanted: Bool) -> pollfd {
            // A negative descriptor is passed over.
            pollfd(fd: wanted ? descriptor : -1, events: Int16(events), revents: 0)
        }
        return [
            entry(descriptors.input, POLLOUT, writes), entry(descriptors.output, POLLIN, reads),
            entry(descriptors.errors, POLLIN, true), entry(descriptors.wake, POLLIN, true),
        ]
    }

    private func drainWake(_ descriptor: CInt) {
        var bytes = [UInt8](repeating: 0, count: 64)
        while Glibc.read(descriptor, &bytes, bytes.count) == bytes.count {}
    }

    private func writeInput(_ descriptor: inout CInt) {
        guard var bytes = state.withLock({ $0.input }) else { return }
        let sent = bytes.withUnsafeReadableBytes { send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
        if sent < 0, errno == EAGAIN || errno == EINTR { return }
        if sent < 0 {
            close(descriptor)
            descriptor = -1
            let waiter = state.withLock { state in
                state.isInputClosed = true
                state.input = nil
                defer { state.inputWaiter = nil }
                return state.inputWaiter
            }
            waiter?.resume(throwing: GitFailure.inputClosed)
            return
        }
        bytes.moveReaderIndex(forwardBy: sent)
        let isDone = bytes.readableBytes == 0
        let rest = isDone ? nil : bytes
        let waiter: Waiter<Void>? = state.withLock { state in
            state.input = rest
            guard isDone else { return nil }
            defer { state.inputWaiter = nil }
            return state.inputWaiter
        }
        waiter?.resume()
    }

    private func closeInputIfEnding(_ descriptor: inout CInt) {
        guard descriptor >= 0 else { return }
        let closes = state.withLock { state in
            guard state.isInputEnding, state.input == nil else { return false }
            state.isInputClosed = true
            return true
        }
        guard closes else { return }
        close(descriptor)
        descriptor = -1
    }

    private func readOutput(_ descriptor: inout CInt) {
        var piece = ByteBuffer()
        let target = descriptor
        let count = piece.writeWithUnsafeMutableBytes(minimumWritableBytes: Limits.readBytes) { raw in
            max(Glibc.read(target, raw.baseAddress, raw.count), 0)
        }
        if count == 0 {
            // Nothing yet, or the end: asked again, since the call above cannot say.
            var byte: UInt8 = 0
            let again = Glibc.read(target, &byte, 1)
            if again < 0, errno == EAGAIN || errno == EINTR { return }
            if again <= 0 {
                close(descriptor)
                descriptor = -1
                return
            }
            piece.writeInteger(byte)
        }
        let whole = piece
        let waiter: Waiter<ByteBuffer?>? = state.withLock { state in
            guard let waiter = state.outputWaiter else {
                state.output.append(whole)
                state.outputBytes += whole.readableBytes
                return nil
            }
            state.outputWaiter = nil
            return waiter
        }
        waiter?.resume(returning: whole)
    }

    private func readErrors(_ descriptor: inout CInt) {
        var bytes = [UInt8](repeating: 0, count: 4_096)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else {
            close(descriptor)
            descriptor = -1
            return
        }
        let part = bytes[..<count]
        state.withLock { state in
            let room = Limits.errorBytes - state.errors.count
            if room > 0 { state.errors += part.prefix(room) }
        }
    }

    /// All its streams are closed, or it was killed: takes its status, and tells who waits.
    private func ended(_ descriptors: Descriptors, deadline: UInt64, time: any TimeSource) {
        for descriptor in [descriptors.input, descriptors.output, descriptors.errors, descriptors.wake]
        where descriptor >= 0 { close(descriptor) }
        // Without reaping, so that the number stays its own until nobody kills it any more.
        var information = siginfo_t()
        while failure == nil, waitid(P_PID, id_t(process), &information, WEXITED | WNOWAIT | WNOHANG) == 0 {
            if information.si_signo != 0 { break }
            if time.uptimeNanoseconds() >= deadline { kill(.outOfTime) }
            usleep(500)
        }
        let (input, output, failure, waiting, status) = state.withLock { state in
            var raw: CInt = 0
            // What it has left behind in its group, without namespaces.
            Glibc.kill(-process, SIGKILL)
            while waitpid(process, &raw, 0) < 0, errno == EINTR {}
            let signal = raw & 0x7f
            let status = signal == 0 ? (raw >> 8) & 0xff : 128 + signal
            state.status = status
            state.isInputClosed = true
            state.isOutputEnded = true
            defer {
                state.input = nil
                state.inputWaiter = nil
                state.outputWaiter = nil
                state.statusWaiters = []
            }
            return (state.inputWaiter, state.outputWaiter, state.failure, state.statusWaiters, status)
        }
        input?.resume(throwing: failure ?? .inputClosed)
        if let failure { output?.resume(throwing: failure) } else { output?.resume(returning: nil) }
        for waiter in waiting { waiter.resume(returning: status) }
    }
}
