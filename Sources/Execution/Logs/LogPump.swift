import Dispatch
import Glibc
import Synchronization

/// Tells log collectors that a pipe has something to read: one thread and one epoll for all environments. (A DispatchSource
/// a pipe costs two allocations and a thread hop each; NIO's pipe channels cannot be drained at a chosen moment.)
final class LogPump: Sendable {
    static let shared = LogPump()

    private struct State {
        var epoll: CInt = -1
        var nextToken: UInt64 = 1
        var readers: [UInt64: @Sendable (UInt64) -> Void] = [:]
    }
    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "martlet.logs")

    /// Calls `reader` with the answered token on the pump's thread whenever `descriptor` is readable or at its end. Nil when
    /// the kernel refuses (out of descriptors or memory).
    func add(_ descriptor: CInt, reader: @escaping @Sendable (UInt64) -> Void) -> UInt64? {
        let (token, starts): (UInt64?, CInt?) = state.withLock { state in
            var starts: CInt?
            if state.epoll < 0 {
                state.epoll = epoll_create1(Int32(EPOLL_CLOEXEC.rawValue))
                guard state.epoll >= 0 else { return (nil, nil) }
                starts = state.epoll
            }
            let token = state.nextToken
            var event = epoll_event()
            event.events = EPOLLIN.rawValue
            event.data.u64 = token
            guard epoll_ctl(state.epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else { return (nil, starts) }
            state.nextToken += 1
            state.readers[token] = reader
            return (token, starts)
        }
        if let starts { queue.async { [self] in run(starts) } }
        return token
    }

    /// Before the descriptor is closed. A call that is under way may still come.
    func remove(_ token: UInt64, _ descriptor: CInt) {
        state.withLock { state in
            state.readers[token] = nil
            _ = epoll_ctl(state.epoll, EPOLL_CTL_DEL, descriptor, nil)
        }
    }

    private func run(_ epoll: CInt) {
        let capacity = 64
        withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: capacity) { events in
            guard let base = events.baseAddress else { return }
            while true {
                let count = epoll_wait(epoll, base, CInt(capacity), -1)
                guard count >= 0 || errno == EINTR else { return }
                for index in 0..<max(Int(count), 0) {
                    let token = events[index].data.u64
                    let reader = state.withLock { $0.readers[token] }
                    reader?(token)
                }
            }
        }
    }
}
