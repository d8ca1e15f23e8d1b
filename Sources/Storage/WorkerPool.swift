import Dispatch
import Glibc
import Platform
import Synchronization

/// Starts a detached thread of our own: file and database work must not occupy the threads of Swift tasks or event loops.
func startThread(named name: String, _ body: @escaping @Sendable () -> Void) throws {
    final class Start: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, StorageLimits.threadStackBytes)
    let start = Unmanaged.passRetained(Start(body))
    var thread = pthread_t()
    let code = pthread_create(
        &thread, &attributes,
        { argument in
            guard let argument else { return nil }
            let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
            start.body()
            return nil
        }, start.toOpaque())
    guard code == 0 else {
        start.release()
        throw Failure(.storage, "Cannot start the thread \(name): \(errorText(code)).")
    }
}

/// A few threads that serve one bounded queue. They are started when there is work for them and sleep on a semaphore
/// otherwise: no wake-ups while idle. Each has a context, made and dropped on that thread.
final class WorkerPool<Context>: Sendable {
    typealias Job = @Sendable (Context) -> Void

    private struct State {
        var jobs: [Job] = []
        /// Index of the first waiting job in `jobs`; the array is compacted when it has been emptied.
        var head = 0
        var threads = 0
        /// Threads that run a job.
        var busy = 0
        var isClosed = false

        mutating func take() -> Job? {
            guard head < jobs.count else { return nil }
            let job = jobs[head]
            head += 1
            if head == jobs.count {
                jobs.removeAll(keepingCapacity: jobs.count <= 64)
                head = 0
            } else if head >= 1024 {
                jobs.removeFirst(head)
                head = 0
            }
            return job
        }
    }

    private enum Submission {
        case wake, start
        case refuse(Failure)
    }

    private let name: String
    private let maximumThreads: Int
    private let maximumJobs: Int
    private let makeContext: @Sendable () -> Context
    private let state = Mutex(State())
    private let available = DispatchSemaphore(value: 0)
    private let ended = DispatchGroup()

    init(name: String, threads: Int, jobs: Int, makeContext: @escaping @Sendable () -> Context) {
        self.name = name
        maximumThreads = threads
        maximumJobs = jobs
        self.makeContext = makeContext
    }

    /// Queues a job. Throws `Failure(.limit)` when too many wait and `.unavailable` after `close`.
    func submit(_ job: @escaping Job) throws {
        let submission: Submission = state.withLock { state in
            if state.isClosed { return .refuse(Failure(.unavailable, "The store is closed.")) }
            if state.jobs.count - state.head >= maximumJobs {
                return .refuse(Failure(.limit, "More than \(maximumJobs) operations wait for the \(name) threads."))
            }
            state.jobs.append(job)
            if state.busy + state.jobs.count - state.head > state.threads, state.threads < maximumThreads {
                state.threads += 1
                return .start
            }
            return .wake
        }
        switch submission {
        case .wake: available.signal()
        case .refuse(let failure): throw failure
        case .start:
            ended.enter()
            do {
                available.signal()
                try startThread(named: name) { [self] in
                    work()
                    ended.leave()
                }
            } catch {
                ended.leave()
                // The job stays queued for the other threads; without any it would wait for ever, so it is taken back.
                let orphaned = state.withLock { state in
                    state.threads -= 1
                    return state.threads == 0
                }
                if orphaned {
                    state.withLock { _ = $0.jobs.popLast() }
                    throw error
                }
            }
        }
    }

    /// As `submit` and waits for the answer.
    func run<T: Sendable>(_ body: @escaping @Sendable (Context) throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            do {
                try submit { context in continuation.resume(with: Result { try body(context) }) }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    /// One signal of the semaphore is one job, or, once closed, the end of one thread.
    private func work() {
        let context = makeContext()
        while true {
            available.wait()
            let (job, isClosed) = state.withLock { state in
                let job = state.take()
                if job != nil { state.busy += 1 }
                return (job, state.isClosed)
            }
            if let job {
                job(context)
                state.withLock { $0.busy -= 1 }
            } else if isClosed {
                return
            }
        }
    }

    /// Lets the queued jobs finish and ends the threads, without waiting for them.
    func shutDown() {
        let threads = state.withLock { state in
            defer { state.isClosed = true }
            return state.isClosed ? 0 : state.threads
        }
        for _ in 0..<threads { available.signal() }
    }

    /// As `shutDown`, and waits. Not to be called from one of the threads.
    func close() {
        shutDown()
        ended.wait()
    }
}
