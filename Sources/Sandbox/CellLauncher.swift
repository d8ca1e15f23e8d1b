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
    private let background = DispatchQueue(label: "martlet.cells.prepare", qos: .utility)
    private let preparedCells: Int

    /// Helpers that wait in their control groups: the kernel takes 5 to 15 ms to move a process there after an idle
    /// moment, and a cold start should not wait for it.
    private struct Spares {
        var helpers: [Helper] = []
        var isPreparing = false
        var isClosed = false
    }
    private let spares = Mutex(Spares())

    /// - Parameters:
    ///   - helperPath: the program `martlet-cell`; see `findHelper`.
    ///   - groups: nil runs cells without limits of memory, CPU and processes.
    ///   - userIDs: users of cells, one each, when the server is root; nil takes 1,900,000,000 to 1,900,065,535, which
    ///     no distribution gives out.
    ///   - preparedCells: how many cells wait half made (about 0.2 MB each); none are without control groups.
    public init(
        helperPath: String, groups: ControlGroups?, userIDs: ClosedRange<UInt32>? = nil,
        preparedCells: Int = 1, logger: Logger
    ) {
        self.helperPath = helperPath
        self.groups = groups
        self.preparedCells = preparedCells
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
        if groups != nil { prepareLater() }
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
        do throws(SandboxError) {
            return try launch(spec, credentials: credentials, giveBack: giveBack, onEvent: onEvent)
        } catch {
            giveBack()
            logger.debug("a cell could not be made", metadata: ["cell": "\(spec.name)", "error": "\(error)"])
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
        _ spec: CellSpec, credentials: ControlCommand.Credentials, giveBack: @escaping @Sendable () -> Void,
        onEvent: @escaping @Sendable (CellEvent) -> Void
    ) throws(SandboxError) -> Cell {
        let files = spec.includesHostFiles && spec.isolation == .namespaces ? HostFiles.standard : nil
        let helper = try takeHelper(spec)
        do throws(SandboxError) {
            let group = helper.isPrepared ? nil : helper.group
            try helper.send(ControlCommand.spec(spec, files: files, credentials: credentials, group: group))
            let ready = try helper.awaitReady(listeners: spec.listeners.count)
            let resources = Cell.Resources(
                control: helper.control, helper: helper.process, group: helper.group, giveBack: giveBack)
            return Cell(
                name: spec.name, initProcess: ready.process, listeners: ready.listeners, resources: resources,
                queue: queue, onEvent: onEvent)
        } catch {
            helper.discard()
            throw error
        }
    }

    // MARK: Prepared cells

    /// A prepared one when there is one and it lives, else a new one.
    private func takeHelper(_ spec: CellSpec) throws(SandboxError) -> Helper {
        guard let groups else { return try Helper.spawn(path: helperPath, group: nil) }
        let prepared = spares.withLock { $0.helpers.popLast() }
        prepareLater()
        if let prepared, let group = prepared.group {
            do throws(SandboxError) {
                try group.write(spec.limits)
                // An end of the socket is readable: this one has died.
                if martlet_await_readable(prepared.control, 0) == 0 { return prepared }
                prepared.discard()
            } catch {
                prepared.discard()
                throw error
            }
        }
        let group = try groups.makeGroup(name: spec.name, limits: spec.limits)
        do throws(SandboxError) {
            return try Helper.spawn(path: helperPath, group: group)
        } catch {
            group.remove()
            throw error
        }
    }

    /// Gets `prepared` cells ready, a moment from now.
    private func prepareLater() {
        guard preparedCells > 0 else { return }
        let isFirst = spares.withLock { state in
            defer { state.isPreparing = true }
            return !state.isPreparing
        }
        guard isFirst else { return }
        background.asyncAfter(deadline: .now() + .milliseconds(Limits.prepareDelayMilliseconds)) { [weak self] in
            self?.prepareNow()
        }
    }

    private func prepareNow() {
        while let groups, spares.withLock({ !$0.isClosed && $0.helpers.count < preparedCells }) {
            do throws(SandboxError) {
                let group = try groups.makeGroup(name: "prepared", limits: nil)
                let helper = try Helper.prepare(path: helperPath, group: group)
                let isLate = spares.withLock { state in
                    if !state.isClosed { state.helpers.append(helper) }
                    return state.isClosed
                }
                if isLate { helper.discard() }
            } catch {
                // Cells are made without preparation then; the launch itself will report what is wrong.
                logger.debug("a cell could not be prepared", metadata: ["error": "\(error)"])
                break
            }
        }
        spares.withLock { $0.isPreparing = false }
    }

    /// Ends the prepared cells. Cells that were launched are their owners' to destroy.
    public func close() {
        let helpers = spares.withLock { state in
            defer { state.helpers = [] }
            state.isClosed = true
            return state.helpers
        }
        for helper in helpers { helper.discard() }
    }

    deinit { close() }
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
