internal import CSandbox
internal import Dispatch
internal import Glibc
internal import Synchronization

/// Watches a cell's control socket on the launcher's one queue, and closes it at the end.
///
/// `@unchecked` because Dispatch's source type is not marked Sendable on Linux; its calls used here are thread safe.
final class CellReader: @unchecked Sendable {
    /// Set on the queue that reports are read on.
    static let queueKey = DispatchSpecificKey<Bool>()

    enum Received {
        case nothing
        case report(ControlReport)
        case malformed
        case end
    }

    private enum State { case reading, paused, ended }

    private let source: any DispatchSourceRead
    private let state = Mutex(State.reading)

    init(control: CInt, queue: DispatchQueue) {
        source = DispatchSource.makeReadSource(fileDescriptor: control, queue: queue)
        source.setCancelHandler { close(control) }
    }

    func begin(_ handler: @escaping @Sendable () -> Void) {
        source.setEventHandler(handler: handler)
        source.resume()
    }

    /// Stops the calls; an ended socket is readable for ever.
    func pause() {
        state.withLock { state in
            guard case .reading = state else { return }
            source.suspend()
            state = .paused
        }
    }

    /// Stops for good and closes the socket. Idempotent.
    func end() {
        state.withLock { state in
            if case .ended = state { return }
            source.cancel()
            if case .paused = state { source.resume() }  // a suspended source does not run its cancel handler
            state = .ended
        }
    }

    static func receive(_ control: CInt, _ descriptors: inout [CInt]) -> Received {
        var received: (length: Int, descriptors: [CInt]) = (0, [])
        let report = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { buffer -> ControlReport? in
            var passed = [CInt](repeating: -1, count: Limits.listeners)
            var count: CInt = 0
            let length = Int(
                martlet_receive(control, buffer.baseAddress, buffer.count, &passed, CInt(passed.count), &count))
            received = (length, Array(passed.prefix(Int(count))))
            return length > 0 ? ControlReport(buffer.prefix(length)) : nil
        }
        descriptors = received.descriptors
        if let report { return .report(report) }
        switch received.length {
        case -Int(EAGAIN): return .nothing
        case 1..., -Int(EMSGSIZE): return .malformed
        default: return .end
        }
    }
}
