import Synchronization

/// Function URLs by their ids, so that a warm request reads no database. Changes are rare: each forgets all.
final class URLCache: Sendable {
    private struct State {
        var urls: [String: FunctionURL] = [:]
        var epoch: UInt64 = 0
    }

    private let state = Mutex(State())

    func find(_ id: String) -> FunctionURL? { state.withLock { $0.urls[id] } }

    /// To be taken before the database is read for a `store`.
    func mark() -> UInt64 { state.withLock { $0.epoch } }

    func store(_ url: FunctionURL, since mark: UInt64) {
        state.withLock { state in
            guard state.epoch == mark else { return }
            if state.urls.count >= Limits.cachedFunctions { state.urls.removeAll() }
            state.urls[url.id] = url
        }
    }

    func forgetAll() {
        state.withLock { state in
            state.epoch += 1
            state.urls.removeAll()
        }
    }
}
