import Synchronization

/// Lets a bounded number of tasks do something at a time; the others wait in turn.
public final class Gate: Sendable {
    private struct State {
        var free: Int
        /// First come, first served; from `first` on.
        var waiting: [CheckedContinuation<Bool, Never>] = []
        var first = 0
    }
    private let state: Mutex<State>
    private let waitingLimit: Int

    /// `limit` tasks at a time, while at most `waiting` others wait.
    public init(limit: Int, waiting: Int) {
        state = Mutex(State(free: limit))
        waitingLimit = waiting
    }

    /// Runs `body` when it is this task's turn. Throws `Failure(.limit)` when too many wait, and what `body` throws.
    @discardableResult
    public func run<T>(_ body: () async throws -> T) async throws -> T {
        let mayEnter = await withCheckedContinuation { continuation in
            if let answer = enter(continuation) { continuation.resume(returning: answer) }
        }
        guard mayEnter else { throw Failure(.limit, "Too many of these operations are waiting: try again later.") }
        defer { leave() }
        return try await body()
    }

    /// Whether the task may go on; nil when it is to wait.
    private func enter(_ continuation: CheckedContinuation<Bool, Never>) -> Bool? {
        state.withLock { state in
            if state.free > 0 {
                state.free -= 1
                return true
            }
            guard state.waiting.count - state.first < waitingLimit else { return false }
            state.waiting.append(continuation)
            return nil
        }
    }

    private func leave() {
        let next: CheckedContinuation<Bool, Never>? = state.withLock { state in
            guard state.first < state.waiting.count else {
                state.free += 1
                return nil
            }
            defer {
                state.first += 1
                if state.first == state.waiting.count {
                    state.waiting.removeAll()
                    state.first = 0
                } else if state.first > 1024 {
                    state.waiting.removeFirst(state.first)
                    state.first = 0
                }
            }
            return state.waiting[state.first]
        }
        next?.resume(returning: true)
    }
}
