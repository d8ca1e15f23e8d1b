internal import CSandbox
internal import Dispatch
internal import Glibc
public import Logging
internal import Synchronization

/// Makes cells. One for each server; thread safe.
public final class CellLauncher: Sendable {
    private let helperPath: String
    private let groups: ControlGroups?
    private let users: Mutex<UserIDPool>
    private let privilege: Privilege
    private let logger: Logger
    private let queue = DispatchQueue(label: "martlet.cells", qos: .userInitiated)

    /// - Parameters:
    ///   - helperPath: the program `martlet-cell`; see `findHelper`.
    ///   - groups: nil runs cells without limits of memory, CPU and processes.
    ///   - userIDs: users of cells, one each, when the server is root; nil takes 1,900,000,000 to 1,900,065,535, which
    ///     no distribution gives out.
    public init(
        helperPath: String, groups: ControlGroups?, userIDs: ClosedRange<UInt32>? = nil, logger: Logger
    ) {
        self.helperPath = helperPath
        self.groups = groups
        self.logger = logger
        users = Mutex(UserIDPool(range: userIDs ?? Limits.userIDs, seed: UInt32(bitPattern: getpid())))
        privilege = Privilege.current
        queue.setSpecific(key: CellReader.queueKey, value: true)
        if groups == nil {
            logger.warning(
                "functions run without limits of memory, CPU and processes: no control groups",
                metadata: ["remedy": "\(ControlGroups.remedy)"])
        }
        for missing in groups?.missing ?? [] {
            logger.warning("functions run without a limit", metadata: ["missing": "\(missing)"])
        }
    }

    /// `martlet-cell` beside the running program, or where packages put it; nil when it is nowhere.
    public static func findHelper() -> String? {
        let program = linkText("/proc/self/exe") ?? ""
        let directory = program.split(separator: "/").dropLast().map { "/" + $0 }.joined()
        let candidates = [
            directory + "/martlet-cell", directory + "/../libexec/martlet/martlet-cell",
            "/usr/libexec/martlet/martlet-cell", "/usr/lib/martlet/martlet-cell",
        ]
        return candidates.first { access($0, X_OK) == 0 }
    }

    /// Makes a cell and waits, a few milliseconds, until it is ready. Blocks: call it on a background queue.
    ///
    /// - Parameter onEvent: called on the launcher's queue, one event at a time; must not block.
    /// - Throws: `SandboxError` with the stage and, where there is one, the remedy. Nothing is left behind.
    public func launch(
        _ spec: CellSpec, onEvent: @escaping @Sendable (CellEvent) -> Void
    ) throws(SandboxError) -> Cell {
        let credentials = try takeCredentials(spec)
        let giveBack: @Sendable () -> Void = { [self] in
            if !credentials.userNamespace { users.withLock { $0.giveBack(credentials.user) } }
        }
        var group: ControlGroup?
        do throws(SandboxError) {
            group = try groups?.makeGroup(name: spec.name, limits: spec.limits)
            let files = spec.includesHostFiles && spec.isolation == .namespaces ? HostFiles.standard : nil
            let message = try ControlCommand.spec(
                spec, files: files, credentials: credentials, groups: group?.paths ?? [], thaw: group?.thaw)
            return try launch(spec, message: message, group: group, giveBack: giveBack, onEvent: onEvent)
        } catch {
            group?.remove()
            giveBack()
            throw error
        }
    }

    private func takeCredentials(_ spec: CellSpec) throws(SandboxError) -> ControlCommand.Credentials {
        if spec.isolation == .none || privilege == .user {
            return .init(user: Limits.unprivilegedUser, group: Limits.unprivilegedGroup, userNamespace: true)
        }
        guard privilege == .root else {
            throw SandboxError(
                stage: "create namespaces", errno: EPERM,
                message: "this root has no CAP_SYS_ADMIN (a container's): run the container with --privileged, or with "
                    + "--cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
                    + "--security-opt systempaths=unconfined, or use --isolation none")
        }
        guard let user = users.withLock({ $0.take() }) else {
            throw SandboxError(stage: "take a user", message: "every user of the range for cells is in use")
        }
        return .init(user: user, group: user, userNamespace: false)
    }

    private func launch(
        _ spec: CellSpec, message: [UInt8], group: ControlGroup?, giveBack: @escaping @Sendable () -> Void,
        onEvent: @escaping @Sendable (CellEvent) -> Void
    ) throws(SandboxError) -> Cell {
        var pair: [CInt] = [-1, -1]
        let paired = martlet_socket_pair(&pair)
        guard paired == 0 else { throw SandboxError(stage: "control socket", errno: -paired, message: "") }
        let control = pair[0]
        var helper: pid_t = 0
        let spawned = martlet_spawn(helperPath, pair[1], &helper)
        close(pair[1])
        guard spawned == 0 else {
            close(control)
            throw SandboxError(
                stage: "start martlet-cell", errno: -spawned,
                message: "\(helperPath): install it beside the server, from the same build")
        }
        let sent = martlet_send(control, message, message.count, nil, 0)
        do throws(SandboxError) {
            guard sent >= 0 else {
                throw SandboxError(stage: "send the spec", errno: Int32(clamping: -sent), message: "")
            }
            let ready = try CellLauncher.awaitReady(control, listeners: spec.listeners.count)
            let resources = Cell.Resources(control: control, helper: helper, group: group, giveBack: giveBack)
            return Cell(
                name: spec.name, initProcess: ready.process, listeners: ready.listeners, resources: resources,
                queue: queue, onEvent: onEvent)
        } catch {
            close(control)
            if martlet_await_exit(helper, Int32(Limits.destroyMilliseconds)) == -ETIMEDOUT { kill(helper, SIGKILL) }
            logger.debug("a cell could not be made", metadata: ["cell": "\(spec.name)", "error": "\(error)"])
            throw error
        }
    }

    private static func awaitReady(
        _ control: CInt, listeners count: Int
    ) throws(SandboxError) -> (process: Int32, listeners: [(port: Int, descriptor: CInt)]) {
        guard martlet_await_readable(control, Int32(Limits.launchMilliseconds)) == 1 else {
            throw SandboxError(stage: "wait for the cell", errno: ETIMEDOUT, message: "it did not become ready")
        }
        var descriptors: [CInt] = []
        switch CellReader.receive(control, &descriptors) {
        case .report(.ready(let process, let ports)) where ports.count == count && descriptors.count == count:
            return (process, zip(ports, descriptors).map { (port: $0, descriptor: $1) })
        case .report(.failed(let error)):
            closeAll(descriptors)
            throw error
        case .report(.gone(let reason)): throw SandboxError(stage: "wait for the cell", message: reason)
        case .end, .nothing:
            throw SandboxError(stage: "wait for the cell", message: "martlet-cell ended without a word")
        default:
            closeAll(descriptors)
            throw SandboxError(stage: "wait for the cell", errno: EPROTO, message: "an unexpected answer")
        }
    }
}

/// What this process may do about namespaces.
enum Privilege: Sendable {
    /// Root with CAP_SYS_ADMIN.
    case root
    /// Root of a container, without it.
    case confinedRoot
    /// Anybody else: cells get a user namespace.
    case user

    static var current: Privilege {
        guard geteuid() == 0 else { return .user }
        for line in (readSmallFile("/proc/self/status") ?? "").split(separator: "\n") where line.hasPrefix("CapEff:") {
            let mask = line.dropFirst(7).drop { $0 == "\t" || $0 == " " }
            return (UInt64(mask, radix: 16) ?? 0) & (1 << 21) != 0 ? .root : .confinedRoot  // CAP_SYS_ADMIN is 21
        }
        return .confinedRoot
    }
}
