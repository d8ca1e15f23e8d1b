internal import CSandbox
internal import Glibc

/// One martlet-cell that the server has started, from before its cell exists.
struct Helper: Sendable {
    let control: CInt
    let process: pid_t
    /// The control group that the cell is, or will be, in.
    let group: ControlGroup?
    /// Whether the cell waits in its groups for the spec.
    let isPrepared: Bool

    /// Starts one with nothing to do yet.
    static func spawn(path: String, group: ControlGroup?) throws(SandboxError) -> Helper {
        var pair: [CInt] = [-1, -1]
        let paired = martlet_socket_pair(&pair)
        guard paired == 0 else { throw SandboxError(stage: "control socket", errno: -paired, message: "") }
        var process: pid_t = 0
        let spawned = martlet_spawn(path, pair[1], &process)
        close(pair[1])
        guard spawned == 0 else {
            close(pair[0])
            throw SandboxError(
                stage: "start martlet-cell", errno: -spawned,
                message: "\(path): install it beside the server, from the same build")
        }
        return Helper(control: pair[0], process: process, group: group, isPrepared: false)
    }

    /// Starts one and has it wait in its control groups.
    static func prepare(path: String, group: ControlGroup) throws(SandboxError) -> Helper {
        let helper = try spawn(path: path, group: group)
        do throws(SandboxError) {
            try helper.send(ControlCommand.prepare(group))
            switch try helper.nextReport(what: "prepare a cell") {
            case .prepared: break
            case .failed(let error): throw error
            default: throw SandboxError(stage: "prepare a cell", errno: EPROTO, message: "an unexpected answer")
            }
        } catch {
            helper.discard()
            throw error
        }
        return Helper(control: helper.control, process: helper.process, group: group, isPrepared: true)
    }

    func send(_ message: [UInt8]) throws(SandboxError) {
        let sent = martlet_send(control, message, message.count, nil, 0)
        if sent < 0 { throw SandboxError(stage: "send the spec", errno: Int32(clamping: -sent), message: "") }
    }

    /// The next report; a report that carries descriptors is refused.
    private func nextReport(what: String) throws(SandboxError) -> ControlReport {
        var descriptors: [CInt] = []
        let report = try nextReport(what: what, &descriptors)
        guard descriptors.isEmpty else {
            closeAll(descriptors)
            throw SandboxError(stage: what, errno: EPROTO, message: "an unexpected answer")
        }
        return report
    }

    private func nextReport(what: String, _ descriptors: inout [CInt]) throws(SandboxError) -> ControlReport {
        guard martlet_await_readable(control, Int32(Limits.launchMilliseconds)) == 1 else {
            throw SandboxError(stage: what, errno: ETIMEDOUT, message: "martlet-cell did not answer")
        }
        switch CellReader.receive(control, &descriptors) {
        case .report(let report): return report
        case .malformed: throw SandboxError(stage: what, errno: EPROTO, message: "martlet-cell sent a malformed answer")
        case .nothing, .end: throw SandboxError(stage: what, message: "martlet-cell ended without a word")
        }
    }

    /// Waits until the cell is made, and takes its listeners.
    func awaitReady(
        listeners count: Int
    ) throws(SandboxError) -> (process: Int32, listeners: [(port: Int, descriptor: CInt)]) {
        var descriptors: [CInt] = []
        let report = try nextReport(what: "wait for the cell", &descriptors)
        if case .ready(let process, let ports) = report, ports.count == count, descriptors.count == count {
            return (process, zip(ports, descriptors).map { (port: $0, descriptor: $1) })
        }
        closeAll(descriptors)
        switch report {
        case .failed(let error): throw error
        case .gone(let reason): throw SandboxError(stage: "wait for the cell", message: reason)
        default: throw SandboxError(stage: "wait for the cell", errno: EPROTO, message: "an unexpected answer")
        }
    }

    /// Ends one that came to nothing, and removes its group.
    func discard() {
        close(control)
        Helper.awaitExit(process)
        group?.remove()
    }

    /// Waits for a launcher whose control socket was closed; answers whether it has ended, and its cell with it.
    @discardableResult
    static func awaitExit(_ process: pid_t) -> Bool {
        let bound = Int32(Limits.destroyMilliseconds)
        if martlet_await_exit(process, bound) != -ETIMEDOUT { return true }
        kill(process, SIGKILL)
        return martlet_await_exit(process, bound) != -ETIMEDOUT
    }
}
