internal import Glibc

/// One cell's control group: on version 1 a directory per controller, on version 2 one.
struct ControlGroup: Sendable {
    let version: ControlGroups.Version
    let directories: [Controller: String]

    /// Every directory once.
    var paths: [String] { Set(directories.values).sorted() }

    /// What thaws the group, for the launcher, which must be able to when the server is dead.
    var thaw: (file: String, text: String)? {
        guard let directory = directories[.freezer] else { return nil }
        return version == .v1 ? (directory + "/freezer.state", "THAWED") : (directory + "/cgroup.freeze", "0")
    }

    func write(_ limits: CellSpec.Limits) throws(SandboxError) {
        if directories[.memory] != nil { try writeMemory(limits.memoryBytes) }
        if directories[.cpu] != nil { try writeCPU(millis: limits.cpuMillis) }
        if let directory = directories[.pids] {
            try put(directory + "/pids.max", String(limits.processes + 1))  // and the cell's init
        }
    }

    func writeMemory(_ bytes: Int) throws(SandboxError) {
        guard let directory = directories[.memory] else { return }
        if version == .v2 {
            try put(directory + "/memory.max", String(bytes))
            writeSmallFile(directory + "/memory.swap.max", "0")  // absent without swap accounting
        } else {
            // Memory with swap may never be under memory: lower memory first, raise it last.
            writeSmallFile(directory + "/memory.limit_in_bytes", String(bytes))
            writeSmallFile(directory + "/memory.memsw.limit_in_bytes", String(bytes))
            try put(directory + "/memory.limit_in_bytes", String(bytes))
        }
    }

    func writeCPU(millis: Int) throws(SandboxError) {
        guard let directory = directories[.cpu] else { return }
        let period = Limits.cpuPeriodMicroseconds
        let quota = max(period * millis / 1000, Limits.cpuQuotaMinimumMicroseconds)
        if version == .v2 {
            try put(directory + "/cpu.max", "\(quota) \(period)")
        } else {
            try put(directory + "/cpu.cfs_period_us", String(period))
            try put(directory + "/cpu.cfs_quota_us", String(quota))
        }
    }

    private func put(_ path: String, _ text: String) throws(SandboxError) {
        let error = writeSmallFile(path, text)
        if error != 0 {
            throw SandboxError(stage: "limit the control group", errno: error, message: "write \(text) to \(path)")
        }
    }

    func setFrozen(_ frozen: Bool) {
        guard let directory = directories[.freezer] else { return }
        if version == .v1 {
            writeSmallFile(directory + "/freezer.state", frozen ? "FROZEN" : "THAWED")
        } else {
            writeSmallFile(directory + "/cgroup.freeze", frozen ? "1" : "0")
        }
    }

    func memoryPeakBytes() -> UInt64? {
        guard let directory = directories[.memory] else { return nil }
        return number(directory + (version == .v1 ? "/memory.max_usage_in_bytes" : "/memory.peak"))
    }

    func memoryUsage() -> MemoryUsage? {
        guard let directory = directories[.memory] else { return nil }
        // The same counts by two names: a cell's group has no groups below it, so version 1 needs no "total_".
        let (anonymous, file) = version == .v1 ? ("rss", "cache") : ("anon", "file")
        let numbers = keyedNumbers(directory + "/memory.stat", keys: [anonymous, file])
        guard let anonymousBytes = numbers[0], let fileBytes = numbers[1] else { return nil }
        return MemoryUsage(anonymousBytes: anonymousBytes, fileBytes: fileBytes)
    }

    func outOfMemoryKills() -> UInt64? {
        guard let directory = directories[.memory] else { return nil }
        let file = version == .v1 ? "/memory.oom_control" : "/memory.events"
        return keyedNumbers(directory + file, keys: ["oom_kill"])[0]
    }

    private func number(_ path: String) -> UInt64? {
        readSmallFile(path)?.split(separator: "\n").first.flatMap { UInt64($0) }
    }

    /// Of a file of lines "key number", the numbers of these keys.
    private func keyedNumbers(_ path: String, keys: [String]) -> [UInt64?] {
        var numbers = [UInt64?](repeating: nil, count: keys.count)
        var missing = keys.count
        var rest = (readSmallFile(path) ?? "")[...]
        while missing > 0, !rest.isEmpty {
            let line = rest.prefix { $0 != "\n" }
            rest = rest[line.endIndex...].dropFirst()
            guard let blank = line.firstIndex(of: " "), let place = keys.firstIndex(where: { $0 == line[..<blank] }),
                numbers[place] == nil
            else { continue }
            numbers[place] = UInt64(line[line.index(after: blank)...])
            missing -= 1
        }
        return numbers
    }

    /// Kills whatever is left and removes the directories. The launcher has done so already, except when it was killed.
    func remove() {
        for path in paths { ControlGroup.remove(path) }
    }

    static func remove(_ path: String) {
        for _ in 0..<100 {
            // Only "busy" gets better: its last process is about to end.
            if rmdir(path) == 0 || errno != EBUSY { return }
            for process in (readSmallFile(path + "/cgroup.procs") ?? "").split(separator: "\n") {
                if let process = Int32(process), process > 1 { kill(process, SIGKILL) }
            }
            writeSmallFile(path + "/freezer.state", "THAWED")
            writeSmallFile(path + "/cgroup.freeze", "0")
            usleep(1000)
        }
    }
}
