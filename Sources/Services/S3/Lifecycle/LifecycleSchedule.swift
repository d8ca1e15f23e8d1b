import Platform
import Synchronization

/// When the lifecycle runs: soon after the start, every midnight (UTC), and after a configuration has changed. One run at a
/// time; what is asked for meanwhile comes after it.
final class LifecycleSchedule: Sendable {
    private struct State {
        var run: (@Sendable () async -> Void)?
        var timer: ScheduledCall?
        var isRunning = false
        var runsAgain = false
    }

    private let time: any TimeSource
    private let state = Mutex(State())

    init(time: any TimeSource) { self.time = time }

    func start(_ run: @escaping @Sendable () async -> Void) {
        state.withLock { $0.run = run }
        wake(at: time.now() + Limits.lifecycleFirstWait)
    }

    func stop() {
        state.withLock { state in
            state.run = nil
            state.timer?.cancel()
            state.timer = nil
        }
    }

    /// Runs soon; for a configuration that was changed.
    func changed() { wake(at: time.now() + Limits.lifecycleChangeWait) }

    private func wake(at instant: Instant) {
        let timer = time.schedule(at: instant) { [weak self] in self?.begin() }
        state.withLock { state in
            state.timer?.cancel()
            state.timer = timer
        }
    }

    private func begin() {
        let run = state.withLock { state -> (@Sendable () async -> Void)? in
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
            await run()
            self?.end()
        }
    }

    private func end() {
        let again = state.withLock { state in
            state.isRunning = false
            defer { state.runsAgain = false }
            return state.run == nil ? nil : state.runsAgain
        }
        guard let again else { return }
        let now = time.now()
        wake(at: again ? now + Limits.lifecycleChangeWait : LifecycleRules.due(now, days: 0))
    }
}
