internal import Dispatch
internal import Glibc
public import Logging
internal import Synchronization

/// What of the sandbox this host has: printed by `martlet doctor`. Everything is tried, not guessed.
public struct SandboxReport: Sendable {
    public struct Mechanism: Sendable, Equatable {
        public var name: String
        public var isAvailable: Bool
        /// What was found, or why it is missing.
        public var detail: String
        /// How to get it.
        public var remedy: String?

        public init(name: String, isAvailable: Bool, detail: String, remedy: String? = nil) {
            self.name = name
            self.isAvailable = isAvailable
            self.detail = detail
            self.remedy = remedy
        }
    }

    public var mechanisms: [Mechanism]
    /// Whether functions can run in cells. Limits may be missing all the same: see the mechanisms.
    public var canRunCells: Bool

    /// Looks at the host and runs `/bin/true` in a real cell. Blocks for some milliseconds.
    public static func probe(helperPath: String?, logger: Logger) -> SandboxReport {
        var mechanisms = [kernel()]
        guard let helperPath else {
            mechanisms.append(
                Mechanism(
                    name: "martlet-cell", isAvailable: false,
                    detail: "the program that makes cells is not beside the server",
                    remedy: "install martlet-cell from the same build as martlet"))
            return SandboxReport(mechanisms: mechanisms, canRunCells: false)
        }
        mechanisms.append(Mechanism(name: "martlet-cell", isAvailable: true, detail: helperPath))
        if Privilege.current != .root { mechanisms.append(userNamespaces()) }
        var why: [String] = []
        let groups = ControlGroups.detect(logger: logger, why: &why)
        let launcher = CellLauncher(
            helperPath: helperPath, groups: groups, preparedCells: 0, logger: logger)
        let alone = cell(launcher, .isolated)
        mechanisms.append(alone)
        var canRun = alone.isAvailable
        if !alone.isAvailable {
            let shared = cell(launcher, .host)
            mechanisms.append(shared)
            canRun = shared.isAvailable
        }
        mechanisms += controlGroups(groups, why: why)
        groups?.removeParents()
        return SandboxReport(mechanisms: mechanisms, canRunCells: canRun)
    }

    private static func kernel() -> Mechanism {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: &name.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        let numbers = release.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
        let recent = numbers.count == 2 && (numbers[0], numbers[1]) >= (5, 12)
        return Mechanism(
            name: "kernel", isAvailable: recent, detail: "Linux \(release)",
            remedy: recent ? nil : "cells need Linux 5.12 or newer")
    }

    private static func userNamespaces() -> Mechanism {
        let switches = [
            ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=65536"),
            ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
            (
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
                "kernel.apparmor_restrict_unprivileged_userns=0"
            ),
        ]
        for (path, off, setting) in switches {
            let value = readSmallFile(path)?.split(separator: "\n").first.map(String.init)
            if value == off {
                return Mechanism(
                    name: "user namespaces", isAvailable: false, detail: "switched off by \(path)",
                    remedy: "sysctl -w \(setting), or run the server as root")
            }
        }
        return Mechanism(name: "user namespaces", isAvailable: true, detail: "not switched off")
    }

    /// Namespaces, mounts, seccomp and no_new_privs at once: a process cannot start without any of them.
    private static func cell(_ launcher: CellLauncher, _ egress: Egress) -> Mechanism {
        let name = egress == .isolated ? "cell" : "cell with --egress host"
        let spec = CellSpec(
            name: "doctor", tmpBytes: 1 << 20, limits: .init(memoryBytes: 64 << 20, cpuMillis: 1000, processes: 16),
            listeners: egress == .isolated ? [.init(port: 9001)] : [.init(port: 0)], egress: egress)
        let exit = Mutex<ProcessExit?>(nil)
        let done = DispatchSemaphore(value: 0)
        let begun = DispatchTime.now().uptimeNanoseconds
        do throws(SandboxError) {
            let cell = try launcher.launch(spec) { event in
                if case .exited(_, let how) = event { exit.withLock { $0 = how } }
                if case .allKilled = event { return }
                done.signal()
            }
            let ready = DispatchTime.now().uptimeNanoseconds
            closeAll(cell.listeners.map(\.descriptor))
            defer { cell.destroy() }
            let output = try Cell.outputPipe()
            defer { closeAll([output.read, output.write]) }
            try cell.start(ProcessSpec(id: 1, arguments: ["/bin/true"]), stdout: output.write, stderr: output.write)
            _ = done.wait(timeout: .now() + .milliseconds(Limits.startMilliseconds))
            guard exit.withLock({ $0 }) == .exited(0) else {
                return Mechanism(name: name, isAvailable: false, detail: "/bin/true did not end well in a cell")
            }
            let microseconds = (ready - begun) / 1000
            return Mechanism(
                name: name, isAvailable: true,
                detail:
                    "namespaces, mounts and seccomp work; ready in \(microseconds / 1000).\(microseconds % 1000 / 100) ms"
            )
        } catch {
            return Mechanism(
                name: name, isAvailable: false, detail: error.description,
                remedy: egress == .isolated
                    ? "see the stage named above; --isolation none runs functions without a cell, with the server's rights"
                    : nil)
        }
    }

    private static func controlGroups(_ groups: ControlGroups?, why: [String]) -> [Mechanism] {
        guard let groups else {
            return [
                Mechanism(
                    name: "control groups", isAvailable: false,
                    detail: "no limits of memory, CPU and processes, no freezer: " + why.joined(separator: "; "),
                    remedy: ControlGroups.remedy)
            ]
        }
        var mechanisms = [
            Mechanism(
                name: "control groups", isAvailable: true,
                detail: "\(groups.version.rawValue): "
                    + groups.controllers.map(\.rawValue).sorted().joined(separator: ", "))
        ]
        for missing in groups.missing {
            mechanisms.append(
                Mechanism(name: "control groups", isAvailable: false, detail: missing, remedy: ControlGroups.remedy))
        }
        return mechanisms
    }
}
