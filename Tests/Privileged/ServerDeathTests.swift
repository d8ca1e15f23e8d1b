import Glibc
import Logging
import Sandbox
import Testing

private let isLittleServer = getenv("MARTLET_TEST_LITTLE_SERVER") != nil
private let isNobody = getenv("MARTLET_TEST_UNPRIVILEGED") != nil

/// kill -9 of the server takes every cell along, frozen ones too.
@Suite(.enabled(if: Host.hasCells, "cells are needed"))
struct ServerDeathTests {
    /// Not a test but the server that is killed: this program again.
    @Test(.enabled(if: isLittleServer)) func littleServer() throws {
        let running = try TestCell()
        let frozen = try TestCell()
        let plain = try TestCell {
            $0.isolation = .none
            $0.listeners = []
        }
        for cell in [running, frozen, plain] {
            let process = try cell.start(["/bin/sh", "-c", "(setsid sleep 1000 & echo up); sleep 1000"])
            #expect(try readLine(process.stdout) == "up")
        }
        frozen.cell.freeze()
        print("CELLS \(running.cell.initProcess) \(frozen.cell.initProcess) \(plain.cell.initProcess) .")
        fflush(nil)
        while true { pause() }
    }

    /// Not a test but a server that makes and destroys many cells, alone in its process so that it can count.
    @Test(.enabled(if: isLittleServer)) func littleLeaker() throws {
        _ = Host.report
        func round() throws {
            let cells = try (0..<20).map { _ in try TestCell { $0.limits.processes = 8 } }
            for cell in cells { #expect(try cell.run(["/bin/true"]).exit == .exited(0)) }
        }
        try round()
        usleep(100_000)  // the reader closes a socket a moment after its cell was destroyed
        let before = entries("/proc/self/fd").count
        for _ in 0..<5 { try round() }
        Host.launcher.close()
        for _ in 0..<200 where entries("/proc/self/fd").count > before { usleep(10_000) }
        print("FDS \(before) \(entries("/proc/self/fd").count) CHILDREN \(descendants(of: getpid()).count) .")
        fflush(nil)
        while true { pause() }
    }

    @Test(.enabled(if: !isLittleServer && !isNobody)) func hundredCellsLeakNothing() throws {
        let server = try HostProcess(
            HostProcess.testProgram(filter: "littleLeaker"), environment: ["MARTLET_TEST_LITTLE_SERVER=1"])
        var words: [Substring] = []
        while words.first != "FDS" { words = try readLine(server.output).split(separator: " ") }
        #expect(words.count == 6 && Int(words[2]) ?? 999 <= Int(words[1]) ?? 0 && words[4] == "0", "\(words)")
        for group in groupsOf(server.pid) {
            #expect(entries(group).filter { $0.hasSuffix("-test") } == [], "in \(group)")
        }
        kill(server.pid, SIGKILL)
        #expect(server.await() == -SIGKILL)
        close(server.output)
    }

    @Test(.enabled(if: !isLittleServer && !isNobody)) func killedServerLeavesNothing() throws {
        let server = try HostProcess(
            HostProcess.testProgram(filter: "littleServer"), environment: ["MARTLET_TEST_LITTLE_SERVER=1"])
        var inits: [pid_t] = []
        while inits.isEmpty {
            let line = try readLine(server.output)
            if line.hasPrefix("CELLS ") { inits = line.split(separator: " ").compactMap { pid_t($0) } }
        }
        #expect(inits.count == 3)
        // The whole family of each cell, by session and parent: everything that a ps of the host shows.
        let watched = inits + inits.compactMap(parent(of:)) + inits.flatMap(descendants(of:))
        #expect(watched.count >= 12, "\(watched)")
        let before = groupsOf(server.pid)
        if Host.groups != nil { #expect(!before.isEmpty) }
        // Killed in the middle of preparing a cell, a server leaves a group that nobody is in.
        for group in before { #expect(mkdir(group + "/1000-prepared", 0o755) == 0) }
        kill(server.pid, SIGKILL)
        #expect(server.await() == -SIGKILL)
        for pid in watched { #expect(endsInTime(pid), "process \(pid) outlived its server") }
        for group in before {
            for _ in 0..<500 where access(group, F_OK) == 0 { usleep(10_000) }
            #expect(access(group, F_OK) != 0, "\(group) is left")
        }
        close(server.output)
    }

    private func statFields(_ pid: pid_t) -> [Substring] {
        let file = open("/proc/\(pid)/stat", O_RDONLY | O_CLOEXEC)
        guard file >= 0, let text = try? readToEnd(file), let bracket = text.lastIndex(of: ")") else { return [] }
        return text[text.index(after: bracket)...].split(separator: " ")
    }

    private func parent(of pid: pid_t) -> pid_t? {
        let fields = statFields(pid)
        return fields.count > 1 ? pid_t(fields[1]) : nil
    }

    private func descendants(of pid: pid_t) -> [pid_t] {
        let children = entries("/proc").compactMap { pid_t($0) }.filter { parent(of: $0) == pid }
        return children + children.flatMap(descendants(of:))
    }

    private func entries(_ path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }

    /// The group directories of a server's own, wherever they are mounted.
    private func groupsOf(_ server: pid_t) -> [String] {
        var found: [String] = []
        func walk(_ path: String, depth: Int) {
            for name in entries(path) where name != "." && name != ".." {
                let full = path + "/" + name
                if name.hasPrefix("martlet-"), name.contains("-\(server)-") { found.append(full) }
                var status = stat()
                if depth < 6, lstat(full, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
                    walk(full, depth: depth + 1)
                }
            }
        }
        walk("/sys/fs/cgroup", depth: 0)
        return found
    }

    /// Gone, or dead and waiting for a parent that is not ours to reap it.
    private func endsInTime(_ pid: pid_t) -> Bool {
        for _ in 0..<500 {
            let fields = statFields(pid)
            if fields.isEmpty || fields[0] == "Z" { return true }
            usleep(10_000)
        }
        return false
    }
}

/// The same tests as nobody: user namespaces, no control groups.
@Suite(.enabled(if: Host.isRoot && !isLittleServer, "only root can become nobody"))
struct UnprivilegedTests {
    @Test(.enabled(if: access("/usr/bin/setpriv", X_OK) == 0, "setpriv (util-linux) is missing"))
    func asNobody() throws {
        let nobody = try HostProcess(
            ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
                + HostProcess.testProgram(filter: "PrivilegedTests.CellTests|PrivilegedTests.HostileTests"),
            environment: ["MARTLET_TEST_UNPRIVILEGED=1", "HOME=/tmp"])
        let output = try readToEnd(nobody.output)
        #expect(nobody.await() == 0, "\(output)")
        for line in output.split(separator: "\n") where line.contains("SKIPPED") { print("as nobody: \(line)") }
        #expect(output.contains("passed after"))
    }
}

@Suite struct SandboxReportTests {
    @Test func itSaysWhatIsThere() {
        for mechanism in Host.report.mechanisms {
            print("doctor: \(mechanism.isAvailable ? "yes" : "NO ") \(mechanism.name): \(mechanism.detail)")
            #expect(!mechanism.detail.isEmpty)
        }
        #expect(Host.report.mechanisms.contains { $0.name == "kernel" })
    }

    @Test func aMissingHelperIsNamed() {
        let report = SandboxReport.probe(helperPath: nil, logger: .init(label: "test"))
        #expect(!report.canRunCells)
        #expect(report.mechanisms.contains { $0.name == "martlet-cell" && !$0.isAvailable && $0.remedy != nil })
    }
}
