import Contracts
import Dispatch
import Logging
import NIOCore
import Platform
import Sandbox

/// The shell around an environment's machine: takes what happens, asks the machine, does what it says. Belongs to one
/// event loop, which takes the place of a lock; what blocks goes to `queue`, in order.
final class EnvironmentCore {
    private struct Caller {
        var invocation: Invocation
        var complete: @Sendable (Result<InvocationResult, any Error>) -> Void
    }

    let parts: EnvironmentFactory.Parts
    let loop: any EventLoop
    let function: FunctionVersion
    private let id: String
    let queue: DispatchQueue
    let logs: LogCollector
    let platformLog: PlatformLog
    let logStream: String
    var machine: EnvironmentMachine
    var server: RuntimeAPIServer?

    /// Until the environment has ended.
    private var environment: ExecutionEnvironment?
    private var owner: (any EnvironmentOwner)?

    var image: RuntimeImage?
    var cell: (any EnvironmentCell)?
    var endpoint: (any ClosableEndpoint)?
    private var caller: Caller?
    /// Answers that are out and not yet reported.
    private var unreported: [EnvironmentMachine.Finish] = []
    private var startedRequestID: String?
    private var pendingActions: [EnvironmentMachine.Action] = []
    private var isPerforming = false
    var timer: Scheduled<Void>?
    private var timerDue: UInt64?
    var logTimer: Scheduled<Void>?
    private var logTimerDue: UInt64?
    var pendingExit: (process: UInt32, end: ProcessEnd)?
    private var seenMemoryKills: UInt64 = 0
    private var memory: MemoryMeter

    init(
        environment: ExecutionEnvironment, owner: any EnvironmentOwner, parts: EnvironmentFactory.Parts,
        loop: any EventLoop
    ) {
        self.environment = environment
        self.owner = owner
        self.parts = parts
        self.loop = loop
        function = environment.function
        id = environment.id
        logStream = environment.logStream
        queue = DispatchQueue(label: "martlet.environment", target: parts.background)
        logs = LogCollector(
            scope: function.scope, group: function.logging.group, stream: environment.logStream, sink: parts.logs,
            time: parts.time, filter: ApplicationLogFilter(function.logging))
        platformLog = PlatformLog(function)
        memory = MemoryMeter(limitMB: function.memoryMB)
        var settings = EnvironmentMachine.Settings(timeoutSeconds: function.timeoutSeconds)
        settings.initLimit = .seconds(UInt64(max(parts.settings.initLimitSeconds, 1)))
        settings.freezeDelay =
            parts.settings.freezes ? .milliseconds(UInt64(max(parts.settings.freezeDelayMilliseconds, 1))) : nil
        machine = EnvironmentMachine(settings: settings)
    }

    var now: UInt64 { parts.time.uptimeNanoseconds() }

    /// This object, for closures that come back to the loop.
    var bound: NIOLoopBound<EnvironmentCore> { NIOLoopBound(self, eventLoop: loop) }

    // MARK: What happens

    func begin() { settle(machine.start()) }

    func invoke(
        _ invocation: Invocation, _ complete: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void
    ) {
        let (refusal, actions) = machine.invocationArrived(invocation, now: now)
        if let refusal { return complete(.failure(refusal)) }
        caller = Caller(invocation: invocation, complete: complete)
        if invocation.wantsLogTail {
            // What came before must not end it. It begins anew when the event is delivered; until then it has what a
            // failing init says.
            writeReports()
            logs.beginTail(true)
        }
        settle(actions)
    }

    func shutdown(_ reason: ShutdownReason) {
        parts.logger.debug(
            "environment shuts down", metadata: ["environment": "\(id)", "reason": "\(reason.rawValue)"])
        settle(machine.shutdown(now: now))
    }

    func cellEvent(_ event: CellEvent) {
        switch event {
        case .exited(let process, let exit): processExited(process, exit)
        case .allKilled: settle(machine.allKilled(now: now))
        case .gone(let reason):
            settle(machine.cellGone(Failure(.sandbox, "the cell of an environment has ended: \(reason)")))
        }
    }

    /// What the process wrote before it died comes first: its connections are read to their ends.
    private func processExited(_ process: UInt32, _ exit: ProcessExit) {
        let kills = cell?.outOfMemoryKills() ?? 0
        let end: ProcessEnd =
            if kills > seenMemoryKills {
                .outOfMemory
            } else {
                switch exit {
                case .exited(let status): .exited(status)
                case .signaled(let number): .signaled(number)
                }
            }
        seenMemoryKills = max(kills, seenMemoryKills)
        guard process == machine.process else { return }
        pendingExit = (process, end)
        if server?.connectionCount == 0 { return takePendingExit() }
        let bound = bound
        _ = loop.scheduleTask(in: .milliseconds(Limits.exitDrainMilliseconds)) {
            if bound.value.pendingExit?.process == process { bound.value.takePendingExit() }
        }
    }

    private func takePendingExit() {
        guard let exit = pendingExit else { return }
        pendingExit = nil
        settle(machine.processExited(process: exit.process, exit.end, now: now))
    }

    // MARK: Actions

    /// Performs actions, then what they left to be done, and sees to the timer.
    func settle(_ actions: [EnvironmentMachine.Action]) {
        perform(actions)
        writeReports()
        armTimer()
    }

    /// One after the other, also those of events that happen meanwhile.
    private func perform(_ actions: [EnvironmentMachine.Action]) {
        pendingActions += actions
        guard !isPerforming else { return }
        isPerforming = true
        var index = 0
        while index < pendingActions.count {
            perform(pendingActions[index])
            index += 1
        }
        pendingActions.removeAll(keepingCapacity: true)
        isPerforming = false
    }

    private func perform(_ action: EnvironmentMachine.Action) {
        switch action {
        case .launchCell: launchCell()
        case .startRuntime(let process, let phase): startRuntime(process, phase)
        case .thaw: cell?.thaw()
        case .freeze: cell?.freeze()
        case .deliver(let poll, let invocation, let deadline): deliver(poll, invocation, deadline)
        case .finish(let finish): answer(finish)
        case .fail(let error): fail(error)
        case .giveBack(let error): fail(NotDelivered(cause: error))
        case .reportInit(let report): reportInit(report)
        case .killAll:
            let cell = cell
            queue.async { cell?.killAll() }
        case .destroyCell: destroyCell()
        case .tellIdle:
            if let environment { owner?.environmentIsIdle(environment) }
        case .tellEnded: end()
        }
    }

    private func armTimer() {
        guard let due = machine.wakeAt else { return }
        // A timer that fires too early is asked again; so the hot path hardly ever touches one.
        if let timerDue, timerDue <= due { return }
        timer?.cancel()
        timerDue = due
        let now = now
        let wait = max(due > now ? due - now : 0, 100_000)
        let bound = bound
        timer = loop.scheduleTask(in: .nanoseconds(Int64(clamping: wait))) {
            let core = bound.value
            core.timerDue = nil
            core.settle(core.machine.tick(now: core.now))
        }
    }

    /// Reads the pipes in a while, unless that is going to happen anyway.
    func armLogTimer(after milliseconds: UInt64) {
        let due = now &+ .milliseconds(milliseconds)
        if let logTimerDue, logTimerDue <= due { return }
        logTimer?.cancel()
        logTimerDue = due
        let bound = bound
        logTimer = loop.scheduleTask(in: .milliseconds(Int64(milliseconds))) { bound.value.logBeat() }
    }

    private func logBeat() {
        logTimerDue = nil
        let count = logs.drain()
        if machine.activity != .none { readMemory(every: Limits.memoryBeatNanoseconds, onlyGrowth: true) }
        switch machine.activity {
        case .busy: armLogTimer(after: count > 0 ? Limits.busyLogBeat : Limits.quietLogBeat)
        case .idle: armLogTimer(after: count > 0 ? Limits.busyLogBeat : Limits.idleLogBeat)
        case .none: break
        }
    }

    // MARK: Invocations

    private func deliver(_ poll: PollID, _ invocation: Invocation, _ deadline: UInt64) {
        writeReports()
        let (wall, now) = (parts.time.now(), now)
        if startedRequestID != invocation.requestID {
            startedRequestID = invocation.requestID
            if invocation.wantsLogTail { logs.beginTail(true) }
            logs.begin(traceID: invocation.traceID)
            logs.append(
                platformLog.start(requestID: invocation.requestID, traceID: invocation.traceID, now: wall))
        }
        let remaining = deadline > now ? deadline - now : 0
        let (head, payload) = RuntimeAPIResponse.event(
            invocation, deadlineMilliseconds: (wall + .nanoseconds(Int64(clamping: remaining))).milliseconds,
            allocator: ByteBufferAllocator())
        server?.deliver(poll, head: head, payload: payload)
        armLogTimer(after: Limits.firstLogBeat)
    }

    /// The caller first; what is said about it in the log comes after, unless the caller wants to have that.
    private func answer(_ finish: EnvironmentMachine.Finish) {
        guard let caller else { return }
        self.caller = nil
        environment?.ran(nanoseconds: finish.duration)
        var tail: [UInt8]?
        if caller.invocation.wantsLogTail {
            tail = writeReport(finish, caller.invocation.traceID)
        } else {
            unreported.append(finish)
        }
        caller.complete(
            .success(
                InvocationResult(
                    payload: finish.payload, functionError: finish.isError ? "Unhandled" : nil,
                    executedVersion: function.version, logTail: tail)))
    }

    private func fail(_ error: any Error) {
        guard let caller else { return }
        self.caller = nil
        caller.complete(.failure(error))
    }

    private func writeReports() {
        guard !unreported.isEmpty else { return }
        for finish in unreported { _ = writeReport(finish, nil) }
        unreported.removeAll(keepingCapacity: true)
    }

    private func writeReport(_ finish: EnvironmentMachine.Finish, _ traceID: String?) -> [UInt8]? {
        let wall = parts.time.now()
        var lines: [String] = []
        if startedRequestID != finish.requestID {
            lines = platformLog.start(requestID: finish.requestID, traceID: traceID, now: wall)
        }
        startedRequestID = nil
        lines += platformLog.report(finish, memoryUsedMB: memoryUsed(after: finish), now: wall)
        return logs.finish(lines)
    }

    private func memoryUsed(after finish: EnvironmentMachine.Finish) -> Int {
        let isShort = finish.duration < Limits.shortInvocationNanoseconds && finish.initDuration == nil
        let interval = isShort ? Limits.memoryReadingWhenShortNanoseconds : Limits.memoryReadingNanoseconds
        if readMemory(every: interval, onlyGrowth: false) {
            // A kill that this invocation has survived is not the reason when a later one exits.
            seenMemoryKills = max(cell?.outOfMemoryKills() ?? 0, seenMemoryKills)
        }
        return memory.usedMB
    }

    /// Reads what the cell uses when the last reading is `interval` old, and ends processes that have too much.
    /// `onlyGrowth` spares the dearer part when the cheap one shows nothing new.
    @discardableResult
    private func readMemory(every interval: UInt64, onlyGrowth: Bool) -> Bool {
        guard let cell, memory.isDue(every: interval, now: now) else { return false }
        let peak = cell.memoryPeakBytes()
        let usage = onlyGrowth && !memory.needsUsage(peak: peak) ? nil : cell.memoryUsage()
        if memory.observe(peak: peak, usage: usage, now: now) {
            let process = machine.process
            later { $0.settle($0.machine.memoryExceeded(process: process, now: $0.now)) }
        }
        return true
    }

    private func reportInit(_ report: EnvironmentMachine.InitReport) {
        // What init has printed comes before the START line that may follow at once.
        _ = logs.drain(limit: Limits.finalDrainBytes, flushes: true)
        logs.append(platformLog.initReport(report, now: parts.time.now()))
        guard report.phase == .initial else { return }
        // Init has a whole CPU, as on AWS; from now on it is the share that goes with the memory.
        let (cell, share) = (cell, cpuShare)
        if share < Self.fullCPU { queue.async { try? cell?.setCPU(millis: share) } }
    }

    static let fullCPU = 1000
    var cpuShare: Int { max(function.memoryMB * Self.fullCPU / Limits.memoryPerCPU, 1) }

    // MARK: The end

    private func end() {
        timer?.cancel()
        logTimer?.cancel()
        writeReports()
        guard let environment, let owner else { return }
        self.environment = nil
        self.owner = nil
        cell = nil
        server = nil
        var failure: EnvironmentFailure?
        if case .ended(let ending) = machine.state {
            switch ending {
            case .shutDown: break
            case .failed(let error), .lost(let error):
                failure = EnvironmentFailure(message: "\(error)", cause: error)
            case .function(let error): failure = EnvironmentFailure(message: error.message, cause: nil)
            }
        }
        owner.environmentHasEnded(environment, failure: failure)
    }

    /// In another turn of the loop, as an answer from elsewhere would come.
    func later(_ body: @escaping @Sendable (EnvironmentCore) -> Void) {
        let bound = bound
        loop.execute { body(bound.value) }
    }
}

// MARK: The Runtime API

extension EnvironmentCore: RuntimeAPIDelegate {
    func runtimeAsksNext(_ poll: PollID) { settle(machine.runtimeNext(poll, now: now)) }

    func pollIsGone(_ poll: PollID) { machine.pollClosed(poll) }

    func runtimeResponds(requestID: String, _ body: RuntimeBody) -> RuntimeReply {
        let (reply, actions) = machine.runtimeResponse(requestID: requestID, body, now: now)
        perform(actions)
        return reply
    }

    func runtimeBeginsStream(requestID: String, contentType: String?) -> Bool {
        guard machine.streamBegan(requestID: requestID) else { return false }
        machine.stream(of: requestID)?.announce(contentType: contentType)
        return true
    }

    func runtimeStreams(requestID: String, _ piece: ByteBuffer, resume: @escaping @Sendable () -> Void) -> Bool {
        machine.stream(of: requestID)?.write(piece, resume: resume) ?? true
    }

    func runtimeEndsStream(requestID: String, _ body: RuntimeBody) -> RuntimeReply {
        let (reply, actions) = machine.streamEnded(requestID: requestID, body, now: now)
        perform(actions)
        return reply
    }

    func runtimeFailsInit(payload: ByteBuffer, type: String) -> RuntimeReply {
        let (reply, actions) = machine.runtimeInitError(payload: payload, type: type, now: now)
        perform(actions)
        return reply
    }

    func replyIsWritten() { settle([]) }

    func lastConnectionClosed() { takePendingExit() }
}
