internal import Glibc
public import Logging
internal import Platform
internal import Synchronization

/// The control groups of this server: one parent of its own, and below it one group for each cell.
///
/// Version 2 when it has controllers, else version 1. What the host lacks is in `missing`, with the remedy; cells then run
/// without that limit.
public struct ControlGroups: Sendable {
    public enum Version: String, Sendable { case v1, v2 }

    public let version: Version
    /// What is kept; the freezer is always among them on version 2.
    public let controllers: Set<Controller>
    /// What is not, and why: one sentence each.
    public let missing: [String]
    /// The server's own parent directory for each controller.
    private let parents: [Controller: String]

    /// Finds the groups of this process, makes the server's parent, and removes what dead servers have left. Nil when the
    /// host gives this process none; `why` says so to `martlet doctor`.
    public static func detect(logger: Logger, why: inout [String]) -> ControlGroups? {
        let layout = ControlGroupLayout(
            mountInfo: readSmallFile("/proc/self/mountinfo") ?? "", membership: readSmallFile("/proc/self/cgroup") ?? ""
        )
        return ControlGroups(layout: layout, owner: Owner.current, logger: logger, why: &why)
    }

    public static func detect(logger: Logger) -> ControlGroups? {
        var why: [String] = []
        return detect(logger: logger, why: &why)
    }

    init?(layout: ControlGroupLayout, owner: Owner, logger: Logger, why: inout [String]) {
        var found: (version: Version, bases: [Controller: String], missing: [String])?
        if let v2 = layout.v2, let bases = ControlGroups.prepareV2(own: v2.own, top: v2.top, why: &why) {
            found = (.v2, bases.usable, bases.missing)
        } else if !layout.v1.isEmpty {
            let absent = Controller.allCases.filter { layout.v1[$0] == nil }
            found = (.v1, layout.v1, absent.map { "cgroup v1 has no \($0.rawValue) controller mounted" })
        }
        guard let found else {
            let unmounted = "no control groups are mounted: mount cgroup2 at /sys/fs/cgroup"
            why.append(layout.v2 == nil ? unmounted : ControlGroups.remedy)
            return nil
        }
        var parents: [Controller: String] = [:]
        var missing = found.missing
        for base in Set(found.bases.values) {
            ControlGroups.removeStale(in: base, owner: owner, logger: logger)
            let parent = base + "/" + owner.groupName
            let members = found.bases.filter { $0.value == base }.map(\.key)
            let error = ControlGroups.makeParent(parent, version: found.version, controllers: members)
            if let error {
                let names = members.map(\.rawValue).sorted().joined(separator: ", ")
                missing.append("no limit of \(names): cannot create \(parent): \(error)")
            } else {
                for controller in members { parents[controller] = parent }
            }
        }
        guard !parents.isEmpty else {
            why += missing
            why.append(ControlGroups.remedy)
            return nil
        }
        version = found.version
        controllers = Set(parents.keys)
        self.missing = missing
        self.parents = parents
    }

    static let remedy =
        "run the server as root, or give it a delegated group: systemd-run --user --scope -p Delegate=yes martlet serve"

    private static func makeParent(_ path: String, version: Version, controllers: [Controller]) -> String? {
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { return String(cString: strerror(errno)) }
        if version == .v2 {
            for controller in controllers where controller != .freezer {
                writeSmallFile(path + "/cgroup.subtree_control", "+\(controller.rawValue)")
            }
        }
        return nil
    }

    /// Makes the controllers of a version 2 group available to the groups below it. Nil when it has none at all.
    private static func prepareV2(
        own: String, top: String, why: inout [String]
    ) -> (usable: [Controller: String], missing: [String])? {
        for base in own == top ? [own] : [own, top] {
            let wanted: [Controller] = [.memory, .cpu, .pids]
            let offered = Set(words(readSmallFile(base + "/cgroup.controllers")))
            let available = wanted.filter { offered.contains($0.rawValue) }
            guard !available.isEmpty, access(base + "/cgroup.procs", W_OK) == 0 else { continue }
            var error: Int32 = 0
            for attempt in 0..<2 {
                let enabled = Set(words(readSmallFile(base + "/cgroup.subtree_control")))
                let absent = available.filter { !enabled.contains($0.rawValue) }.map { "+\($0.rawValue)" }
                // All or none: with CPU and processes alone a group that has processes turns into one of threads, which
                // nobody can step aside from.
                error =
                    absent.isEmpty
                    ? 0 : writeSmallFile(base + "/cgroup.subtree_control", absent.joined(separator: " "))
                // A group with processes cannot have limited groups below it: step aside if it is only us.
                guard error == EBUSY, attempt == 0, stepAside(in: base) else { break }
            }
            if error == 0 {
                var usable = Dictionary(uniqueKeysWithValues: available.map { ($0, base) })
                usable[.freezer] = base
                let absent = wanted.filter { !available.contains($0) }
                return (usable, absent.map { "cgroup v2 offers no \($0.rawValue) controller to \(base)" })
            }
            why.append("\(base): cannot enable controllers: \(String(cString: strerror(error)))")
        }
        return nil
    }

    private static func stepAside(in base: String) -> Bool {
        let ourselves = String(getpid())
        guard words(readSmallFile(base + "/cgroup.procs")) == [ourselves] else { return false }
        let leaf = base + "/martlet-server"
        guard mkdir(leaf, 0o755) == 0 || errno == EEXIST else { return false }
        return writeSmallFile(leaf + "/cgroup.procs", ourselves) == 0
    }

    private static func removeStale(in base: String, owner: Owner, logger: Logger) {
        for name in Directory.names(in: base) {
            guard let other = Owner(groupName: name), other.pidNamespace == owner.pidNamespace, !other.isAlive else {
                continue
            }
            logger.info("removing the control groups of a dead server", metadata: ["group": "\(base)/\(name)"])
            let parent = base + "/" + name
            for cell in Directory.names(in: parent) { ControlGroup.remove(parent + "/" + cell) }
            rmdir(parent)
        }
    }

    /// Makes one cell's group, with its limits when they are known already.
    func makeGroup(name: String, limits: CellSpec.Limits?) throws(SandboxError) -> ControlGroup {
        let safe = String(
            name.unicodeScalars.prefix(Limits.groupNameCharacters).map { scalar in
                let kept = scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
                return Character(kept || scalar == "-" || scalar == "_" ? scalar : "_")
            })
        let unique = "\(cellNumber.wrappingAdd(1, ordering: .relaxed).newValue)-\(safe)"
        var directories: [Controller: String] = [:]
        for (controller, parent) in parents { directories[controller] = parent + "/" + unique }
        let group = ControlGroup(version: version, directories: directories)
        do throws(SandboxError) {
            for (controller, path) in directories.sorted(by: { $0.value < $1.value }) where access(path, F_OK) != 0 {
                if mkdir(path, 0o755) == 0 { continue }
                // Somebody tidied the parent away, as `martlet doctor` does with its own.
                let members = parents.filter { $0.value == parents[controller] }.map(\.key)
                if errno == ENOENT, let parent = parents[controller] {
                    _ = ControlGroups.makeParent(parent, version: version, controllers: members)
                }
                guard mkdir(path, 0o755) == 0 else {
                    throw SandboxError(stage: "create the control group", errno: errno, message: path)
                }
            }
            if let limits { try group.write(limits) }
        } catch {
            group.remove()
            throw error
        }
        return group
    }

    /// Removes the server's own parent: at shutdown, when no cell is left.
    ///
    /// A group that has just lost its last process is busy for a moment, so a parent is tried again, for a second at most.
    public func removeParents() {
        for parent in Set(parents.values) {
            for _ in 0..<50 where rmdir(parent) != 0 && errno == EBUSY {
                removeChildren(of: parent)
                usleep(20_000)
            }
        }
    }

    private func removeChildren(of parent: String) {
        // Control files cannot be removed like this, and need not be.
        Directory.forEachName(in: parent) { rmdir(parent + "/" + $0) }
    }
}

/// Numbers cells over the whole process, so that a name used twice still makes two groups.
private let cellNumber = Atomic<UInt64>(0)

private func words(_ text: String?) -> [String] {
    (text ?? "").split(whereSeparator: { $0 == " " || $0 == "\n" }).map(String.init)
}

/// Whose groups: a process, told apart from a later one of the same number by when it started.
struct Owner: Equatable {
    var pidNamespace: UInt64
    var process: Int32
    /// Clock ticks since boot.
    var started: UInt64

    static var current: Owner {
        var status = stat()
        let namespace = stat("/proc/self/ns/pid", &status) == 0 ? UInt64(status.st_ino) : 0
        return Owner(pidNamespace: namespace, process: getpid(), started: startTime(of: getpid()) ?? 0)
    }

    var groupName: String { "martlet-\(pidNamespace)-\(process)-\(started)" }
    var isAlive: Bool { Owner.startTime(of: process) == started }

    init(pidNamespace: UInt64, process: Int32, started: UInt64) {
        self.pidNamespace = pidNamespace
        self.process = process
        self.started = started
    }

    /// Nil for the name of anything else.
    init?(groupName: String) {
        let parts = groupName.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "martlet", let namespace = UInt64(parts[1]), let process = Int32(parts[2]),
            let started = UInt64(parts[3])
        else { return nil }
        self.init(pidNamespace: namespace, process: process, started: started)
    }

    /// Field 22 of `/proc/PID/stat`; the name before it may hold blanks and brackets.
    static func startTime(of process: Int32) -> UInt64? {
        guard let text = readSmallFile("/proc/\(process)/stat"), let bracket = text.lastIndex(of: ")") else {
            return nil
        }
        let fields = text[text.index(after: bracket)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z" else { return nil }
        return UInt64(fields[19])
    }
}
