internal import CSandbox
internal import Dispatch
internal import Glibc
internal import Synchronization

/// A running cell. Thread safe. `start` and `destroy` block for milliseconds: call them on a background queue, and never
/// from the event handler. A cell that nobody holds any more is destroyed.
public final class Cell: Sendable {
    public let name: String
    /// Sockets that listen inside the cell; ownership passes to the caller, who must close them. In the spec's order.
    public let listeners: [(port: Int, descriptor: CInt)]
    /// The cell's first process, as the server's process numbers count; for diagnostics.
    public let initProcess: Int32

    private struct State {
        var machine = CellMachine()
        var waiting: [UInt32: StartWaiter] = [:]
    }

    /// What a cell holds besides its processes, given back once when it is destroyed.
    struct Resources: Sendable {
        var control: CInt
        var helper: pid_t
        var group: ControlGroup?
        var giveBack: @Sendable () -> Void
    }

    private let state = Mutex(State())
    private let resources: Resources
    private let reader: CellReader
    private let onEvent: @Sendable (CellEvent) -> Void

    init(
        name: String, initProcess: Int32, listeners: [(port: Int, descriptor: CInt)], resources: Resources,
        queue: DispatchQueue, onEvent: @escaping @Sendable (CellEvent) -> Void
    ) {
        self.name = name
        self.initProcess = initProcess
        self.listeners = listeners
        self.resources = resources
        self.onEvent = onEvent
        reader = CellReader(control: resources.control, queue: queue)
        reader.begin { [weak self] in self?.readReports() }
    }

    deinit { destroy() }

    // MARK: Processes

    /// A pipe for what a process writes: the read end does not block, neither end is inherited. Both belong to the caller.
    public static func outputPipe() throws(SandboxError) -> (read: CInt, write: CInt) {
        var ends: [CInt] = [-1, -1]
        let failed = martlet_pipe(&ends)
        guard failed == 0 else { throw SandboxError(stage: "pipe", errno: -failed, message: "for stdout and stderr") }
        return (ends[0], ends[1])
    }

    /// Starts a process and waits until it runs its own program.
    ///
    /// - Parameters:
    ///   - stdout: becomes the process's; stays the caller's, who closes it.
    ///   - stderr: likewise; the same descriptor twice keeps what the process writes in its order.
    /// - Throws: `SandboxError`; its stage is `execve` or `chdir` when the program or directory was at fault.
    public func start(_ process: ProcessSpec, stdout: CInt, stderr: CInt) throws(SandboxError) {
        guard DispatchQueue.getSpecific(key: CellReader.queueKey) == nil else {
            throw SandboxError(stage: "start", message: "called from a cell's event handler, which answers it")
        }
        try request(ControlCommand.start(process), descriptors: [stdout, stderr], process: process.id)
    }

    private func request(_ command: [UInt8], descriptors: [CInt], process: UInt32) throws(SandboxError) {
        let waiter = StartWaiter()
        let refusal = state.withLock { state -> SandboxError? in
            if let refusal = state.machine.start(process) { return refusal }
            state.waiting[process] = waiter
            return nil
        }
        if let refusal { throw refusal }
        let sent = sendIfOpen(command, descriptors: descriptors)
        if sent >= 0, let answer = waiter.wait(milliseconds: Limits.startMilliseconds) {
            if case .failure(let error) = answer { throw error }
            return
        }
        state.withLock { state in
            state.machine.startAbandoned(process)
            state.waiting[process] = nil
        }
        throw SandboxError(
            stage: "start", errno: sent < 0 ? Int32(clamping: -sent) : ETIMEDOUT,
            message: "the cell did not answer; it may be frozen or gone")
    }

    /// Sends a signal to a process that `start` has started; nothing happens when it has ended.
    public func signal(process: UInt32, _ number: CInt) {
        _ = sendIfOpen(ControlCommand.signal(process: process, number: number))
    }

    /// Kills every process of the cell. `.allKilled` comes when the last is gone; the cell and its `/tmp` stay.
    public func killAll() {
        thaw()
        _ = sendIfOpen(ControlCommand.killAll())
    }

    // MARK: Control groups

    /// Stops every process of the cell where it stands. Does nothing on a host without a freezer.
    public func freeze() { resources.group?.setFrozen(true) }

    public func thaw() { resources.group?.setFrozen(false) }

    /// The most memory that the cell has used at once, page cache and `/tmp` included; since the last reset on version 1.
    /// Nil when nothing counts it. Costs microseconds.
    public func memoryPeakBytes() -> UInt64? { resources.group?.memoryPeakBytes() }

    /// What the cell uses now. Nil when nothing counts it. Costs more than the peak: the kernel adds up its CPUs' counts.
    public func memoryUsage() -> MemoryUsage? { resources.group?.memoryUsage() }

    /// How many processes of the cell the kernel has killed because it was out of memory. Compare before and after: a
    /// grandchild's death shows nowhere else. Nil when nothing counts it.
    public func outOfMemoryKills() -> UInt64? { resources.group?.outOfMemoryKills() }

    /// Changes the share of the CPU; 1000 is one CPU. AWS gives a full one during init.
    public func setCPU(millis: Int) throws(SandboxError) { try resources.group?.writeCPU(millis: millis) }

    // MARK: The end

    /// Kills everything in the cell, waits until it is gone, and gives back its control groups and user. Idempotent. Does
    /// not close the listeners: they are the caller's.
    public func destroy() {
        guard let actions = state.withLock({ $0.machine.destroy() }) else { return }
        perform(actions)
        // The launcher sees the end of the socket, kills the cell (frozen or not), and removes its control groups.
        shutdown(resources.control, Int32(SHUT_RDWR))
        reader.end()
        let isGone = Helper.awaitExit(resources.helper)
        resources.group?.remove()
        // A user whose processes may still be there is not given to another cell.
        if isGone { resources.giveBack() }
    }

    // MARK: Shell

    /// Sends under the lock, without waiting: once the machine is destroyed the socket's number may be another file's.
    private func sendIfOpen(_ bytes: [UInt8], descriptors: [CInt] = []) -> Int {
        state.withLock { state in
            guard state.machine.isOpen else { return -Int(EPIPE) }
            return martlet_send(resources.control, bytes, bytes.count, descriptors, Int32(descriptors.count))
        }
    }

    private func readReports() {
        for _ in 0..<Limits.reportsPerTurn {
            var descriptors: [CInt] = []
            switch CellReader.receive(resources.control, &descriptors) {
            case .nothing: return
            case .report(let report):
                closeAll(descriptors)
                perform(state.withLock { $0.machine.received(report) })
            case .malformed:
                closeAll(descriptors)
                end("the cell sent a malformed message")
                return
            case .end:
                end("its launcher has ended")
                return
            }
        }
    }

    private func end(_ reason: String) {
        perform(state.withLock { $0.machine.ended(reason) })
        reader.pause()  // nothing more comes; `destroy` cleans up
    }

    private func perform(_ actions: [CellMachine.Action]) {
        for action in actions {
            switch action {
            case .answerStart(let process, let error):
                let waiter = state.withLock { $0.waiting.removeValue(forKey: process) }
                waiter?.answer(error.map { .failure($0) } ?? .success(()))
            case .deliver(let event): onEvent(event)
            case .end(let reason): end(reason)
            }
        }
    }
}

/// One blocked `start`.
private final class StartWaiter: Sendable {
    private let result = Mutex<Result<Void, SandboxError>?>(nil)
    private let done = DispatchSemaphore(value: 0)

    func answer(_ value: Result<Void, SandboxError>) {
        result.withLock { $0 = value }
        done.signal()
    }

    func wait(milliseconds: Int) -> Result<Void, SandboxError>? {
        _ = done.wait(timeout: .now() + .milliseconds(milliseconds))
        return result.withLock { $0 }
    }
}

func closeAll(_ descriptors: [CInt]) {
    for descriptor in descriptors where descriptor >= 0 { close(descriptor) }
}
