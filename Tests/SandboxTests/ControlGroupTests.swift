import Glibc
import Logging
import Platform
import Testing

@testable import Sandbox

@Suite struct ControlGroupTests {
    @Test func version1IsReadFromMountsAndMembership() {
        let layout = ControlGroupLayout(
            mountInfo: """
                27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
                32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct
                35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
                38 31 0:31 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
                """,
            membership: "4:memory:/outer/inner\n1:cpu,cpuacct:/\n0::/\n")
        #expect(layout.v1 == [.memory: "/sys/fs/cgroup/memory/outer/inner", .cpu: "/sys/fs/cgroup/cpu,cpuacct"])
        #expect(layout.v2?.own == "/sys/fs/cgroup/unified")
    }

    @Test func version2InAContainerAndWithBlanks() {
        let whole = ControlGroupLayout(
            mountInfo: "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw,nsdelegate\n",
            membership: "0::/user.slice/a:b.scope\n")
        #expect(whole.v2?.own == "/sys/fs/cgroup/user.slice/a:b.scope")
        #expect(whole.v2?.top == "/sys/fs/cgroup")
        let part = ControlGroupLayout(
            mountInfo: "30 23 0:26 /docker/abc /a\\040b rw - cgroup2 cgroup rw\n", membership: "0::/docker/abc/x\n")
        #expect(part.v2?.own == "/a b/x")
        let outside = ControlGroupLayout(
            mountInfo: "30 23 0:26 /docker/abc /cg rw - cgroup2 cgroup rw\n", membership: "0::/other\n")
        #expect(outside.v2?.own == "/cg")
        #expect(ControlGroupLayout(mountInfo: "rubbish - x\n- \n", membership: "::\n\n:").v1.isEmpty)
    }

    @Test func ownersAreToldApart() throws {
        let owner = Owner.current
        #expect(owner.isAlive)
        #expect(Owner(groupName: owner.groupName) == owner)
        var later = owner
        later.started += 1
        #expect(!later.isAlive, "the same number, another process")
        #expect(Owner(groupName: "martlet-1-2") == nil)
        #expect(Owner(groupName: "docker-1-2-3") == nil)
    }

    /// Version 2 against plain files: this host's controllers may all belong to version 1.
    @Test func version2WritesItsLimits() throws {
        let directory = try TemporaryDirectory()
        for file in [
            "memory.max", "memory.swap.max", "cpu.max", "pids.max", "cgroup.freeze", "memory.events", "memory.peak",
        ] {
            try directory.write(file, "")
        }
        let group = ControlGroup(
            version: .v2,
            directories: [
                .memory: directory.path, .cpu: directory.path, .pids: directory.path, .freezer: directory.path,
            ])
        #expect(group.paths == [directory.path])
        try group.write(.init(memoryBytes: 134_217_728, cpuMillis: 72, processes: 1024))
        #expect(readSmallFile(directory.path + "/memory.max") == "134217728")
        #expect(readSmallFile(directory.path + "/memory.swap.max") == "0")
        #expect(readSmallFile(directory.path + "/cpu.max") == "1440 20000")
        #expect(readSmallFile(directory.path + "/pids.max") == "1025")
        group.setFrozen(true)
        #expect(readSmallFile(directory.path + "/cgroup.freeze") == "1")
        try directory.write("memory.events", "low 0\noom 3\noom_kill 2\n")
        try directory.write("memory.peak", "4096\n")
        #expect(group.outOfMemoryKills() == 2)
        #expect(group.memoryPeakBytes() == 4096)
        #expect(group.memoryUsage() == nil, "there is no memory.stat")
        try directory.write("memory.stat", "anon 12288\nfile 8192\nkernel 4096\nfile_mapped 1\nanon_thp 2\n")
        #expect(group.memoryUsage() == MemoryUsage(anonymousBytes: 12288, fileBytes: 8192))
        for text in [
            "", "anon\nfile 1\n", "anon x\nfile 1\n", "anon 99999999999999999999\nfile 1\n", "anon 1\n", "\n \n",
        ] {
            try directory.write("memory.stat", text)
            #expect(group.memoryUsage() == nil, "\(text)")
        }
    }

    @Test func version1TellsMemoryApart() throws {
        let directory = try TemporaryDirectory()
        try directory.write(
            "memory.stat", "cache 8192\nrss 12288\nrss_huge 0\nshmem 4096\ntotal_cache 1\ntotal_rss 2\n")
        let group = ControlGroup(version: .v1, directories: [.memory: directory.path])
        #expect(group.memoryUsage() == MemoryUsage(anonymousBytes: 12288, fileBytes: 8192))
        #expect(ControlGroup(version: .v1, directories: [:]).memoryUsage() == nil)
    }

    @Test func aGroupThatCannotBeLimitedIsRemoved() throws {
        let base = try TemporaryDirectory()
        try base.write("cgroup.controllers", "cpu memory pids\n")
        try base.write("cgroup.subtree_control", "cpu memory pids\n")
        try base.write("cgroup.procs", "")
        var layout = ControlGroupLayout(mountInfo: "", membership: "")
        layout.v2 = (base.path, base.path)
        var why: [String] = []
        let owner = Owner(pidNamespace: 1, process: 2, started: 3)
        let groups = try #require(
            ControlGroups(layout: layout, owner: owner, logger: Logger(label: "test"), why: &why))
        #expect(groups.version == .v2)
        #expect(groups.controllers == [.memory, .cpu, .pids, .freezer])
        let error = #expect(throws: SandboxError.self) {
            try groups.makeGroup(name: "a/../b", limits: .init(memoryBytes: 1 << 20, cpuMillis: 100))
        }
        #expect(error?.stage == "limit the control group")
        #expect(Directory.names(in: base.path + "/martlet-1-2-3") == [])
    }

    @Test func noGroupsAreExplained() {
        var why: [String] = []
        let layout = ControlGroupLayout(mountInfo: "", membership: "")
        #expect(ControlGroups(layout: layout, owner: .current, logger: Logger(label: "test"), why: &why) == nil)
        #expect(why.count == 1)
    }
}

/// A directory under /tmp that goes away with this value.
final class TemporaryDirectory: Sendable {
    let path: String

    init(mode: mode_t = 0o755) throws {
        var template = Array("/tmp/martlet-test-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) } != nil
        }
        try #require(made)
        path = template.withUnsafeBufferPointer {
            String(decoding: $0.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
        chmod(path, mode)
    }

    func write(_ name: String, _ text: String, mode: mode_t = 0o644) throws {
        let file = open(path + "/" + name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, mode)
        try #require(file >= 0)
        var text = text
        let count = text.withUTF8 { Glibc.write(file, $0.baseAddress, $0.count) }
        close(file)
        try #require(count == text.utf8.count)
    }

    deinit { TemporaryDirectory.remove(path) }

    private static func remove(_ path: String) {
        if unlink(path) == 0 { return }
        for name in Directory.names(in: path) { remove(path + "/" + name) }
        rmdir(path)
    }
}
