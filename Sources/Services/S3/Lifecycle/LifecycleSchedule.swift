import Platform
import Synchronization

/// When the lifecycle runs: soon after the start, every midnight (UTC), and after a configuration has changed. One run at a
/// time; what is asked for meanwhile comes after it.
final class LifecycleSchedule: Sendable {
    private struct State {
        var run: (@Sendable () async -> Bool)?
        /// Waits for `due`.
        var timer: ScheduledCall?
        var due: Instant?
        var isRunning = false
        var runsAgain = false
    }

    private let time: any TimeSource
    private let state = Mutex(State())

    init(time: any TimeSource) { self.time = time }

    /// `run` answers whether everything was carried out; if not, the next run is not put off to midnight.
    func start(_ run: @escaping @Sendable () async -> Bool) {
        state.withLock { $0.run = run }
        wake(at: time.now() + Limits.lifecycleFirstWait)
    }

    func stop() {
        state.withLock { state in
            state.run = nil
            state.timer?.cancel()
            state.timer = nil
            state.due = nil
        }
    }

    /// Runs soon; for a configuration that was changed.
    func changed() { wake(at: time.now() + Limits.lifecycleChangeWait) }

    private func wake(at instant: Instant) {
        state.withLock { state in
            // What is due earlier stays: a run that ends must not put off what was asked for meanwhile.
            if let due = state.due, due <= instant { return }
            state.timer?.cancel()
            state.due = instant
            // The clock never calls from within `schedule`.
            state.timer = time.schedule(at: instant) { [weak self] in self?.begin() }
        }
    }

    private func begin() {
        let run = state.withLock { state -> (@Sendable () async -> Bool)? in
            state.timer = nil
            state.due = nil
            guard let run = state.run else { return nil }
            guard !state.isRunning else {
                state.runsAgain = true
                return nil
            }
            state.isRunning = true
            return run
        }
        guard let run else { return }
        Task { [weak self] in
            let isDone = await run()
            self?.end(isDone: isDone)
        }
    }

    private func end(isDone: Bool) {
        let again = state.withLock { state in
            state.isRunning = false
            defer { state.runsAgain = false }
            return state.run == nil ? nil : state.runsAgain
        }
        guard let again else { return }
        let now = time.now()
        let midnight = LifecycleRules.due(now, days: 0)
        if again {
            wake(at: now + Limits.lifecycleChangeWait)
        } else {
            wake(at: isDone ? midnight : min(midnight, now + Limits.lifecycleRetryWait))
        }
    }
}
