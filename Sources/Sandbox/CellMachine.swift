/// One cell's life as the server sees it. No I/O: `Cell` asks, then acts.
///
///     open ── ended ──▶ gone ── destroy ──▶ destroyed
///       └──────────── destroy ───────────────▶ ┘
struct CellMachine {
    private enum State {
        case open(starting: Set<UInt32>, running: Set<UInt32>)
        case gone(reason: String)
        case destroyed
    }

    /// What the shell does after an event, in order.
    enum Action: Equatable {
        case answerStart(process: UInt32, SandboxError?)
        case deliver(CellEvent)
        /// The cell said something that makes no sense: end it.
        case end(reason: String)
    }

    private var state = State.open(starting: [], running: [])

    /// Processes that run, as far as has been told.
    var running: Set<UInt32> { if case .open(_, let running) = state { running } else { [] } }

    var isOpen: Bool { if case .open = state { true } else { false } }

    /// Nil: send the command. Otherwise why not.
    mutating func start(_ process: UInt32) -> SandboxError? {
        switch state {
        case .open(var starting, let running):
            guard !starting.contains(process), !running.contains(process) else {
                return SandboxError(stage: "start", message: "process \(process) of this cell is running")
            }
            starting.insert(process)
            state = .open(starting: starting, running: running)
            return nil
        case .gone(let reason): return SandboxError(stage: "start", message: "the cell is gone: \(reason)")
        case .destroyed: return SandboxError(stage: "start", message: "the cell is destroyed")
        }
    }

    /// The command could not be sent, or was not answered in time.
    mutating func startAbandoned(_ process: UInt32) {
        guard case .open(var starting, let running) = state else { return }
        starting.remove(process)
        state = .open(starting: starting, running: running)
    }

    mutating func received(_ report: ControlReport) -> [Action] {
        guard case .open(var starting, var running) = state else { return [] }
        var actions: [Action] = []
        switch report {
        case .started(let process):
            // An abandoned start that succeeded after all stays known, so that its end is told.
            running.insert(process)
            if starting.remove(process) != nil { actions = [.answerStart(process: process, nil)] }
        case .startFailed(let process, let error):
            if starting.remove(process) != nil { actions = [.answerStart(process: process, error)] }
        case .exited(let process, let exit):
            if running.remove(process) != nil { actions = [.deliver(.exited(process: process, exit))] }
        case .allKilled: actions = [.deliver(.allKilled)]
        case .gone(let reason): return ended(reason)
        case .failed(let error): return [.end(reason: error.description)]
        case .ready, .prepared: return [.end(reason: "a cell said twice that it is ready")]
        }
        state = .open(starting: starting, running: running)
        return actions
    }

    /// The control socket ended, or the cell said that it is gone.
    mutating func ended(_ reason: String) -> [Action] {
        guard case .open(let starting, _) = state else { return [] }
        state = .gone(reason: reason)
        return starting.sorted().map {
            .answerStart(process: $0, SandboxError(stage: "start", message: "the cell is gone: \(reason)"))
        } + [.deliver(.gone(reason: reason))]
    }

    /// The pending starts to be refused; nil when the cell is destroyed already.
    mutating func destroy() -> [Action]? {
        switch state {
        case .destroyed: return nil
        case .gone:
            state = .destroyed
            return []
        case .open(let starting, _):
            state = .destroyed
            return starting.sorted().map {
                .answerStart(process: $0, SandboxError(stage: "start", message: "the cell is destroyed"))
            }
        }
    }
}
