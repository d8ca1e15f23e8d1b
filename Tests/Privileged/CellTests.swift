import Glibc
import Logging
import Sandbox
import Testing

/// Real cells on this host, as the user that runs the tests. Also run by `UnprivilegedTests` as nobody.
@Suite(.enabled(if: Host.hasCells && Host.python, "cells and python3 are needed"))
struct CellTests {
    /// The goal is about 5 ms; the bound is loose because other work shares this machine.
    @Test func aCellIsReadyInMilliseconds() throws {
        var times: [Double] = []
        for _ in 0..<20 {
            let begun = ContinuousClock.now
            let cell = try TestCell()
            let ready = ContinuousClock.now
            #expect(try cell.run(["/bin/true"]).exit == .exited(0))
            times.append((ready - begun) / .milliseconds(1))
        }
        times.sort()
        print("launch of a cell: median \(times[10]) ms, least \(times[0]) ms")
        #expect(times[10] < 100)
    }

    /// Launches after idle moments, as a developer makes them: prepared cells spare the wait for the control groups.
    @Test(.enabled(if: Host.groups != nil, "no control groups")) func aPreparedCellIsReadyAtOnce() throws {
        let launcher = CellLauncher(helperPath: Host.helper ?? "", groups: Host.groups, logger: .init(label: "test"))
        defer { launcher.close() }
        var times: [Double] = []
        for turn in 0..<11 {
            usleep(150_000)
            let begun = ContinuousClock.now
            var spec = CellSpec(name: "prepared", limits: .init(memoryBytes: 32 << 20, cpuMillis: 1000))
            // Also without namespaces, by the same way.
            if turn == 10 { (spec.isolation, spec.listeners) = (.none, []) }
            let cell = try TestCell(spec, launcher: launcher)
            times.append((ContinuousClock.now - begun) / .milliseconds(1))
            let ran = try cell.run(["/usr/bin/python3", "-c", "bytearray(64 << 20)"])
            if Host.keeps(.memory) { #expect(ran.exit == .signaled(SIGKILL), "the limits are this cell's") }
            #expect(try cell.run(["/bin/true"]).exit == .exited(0))
            cell.cell.destroy()
        }
        times.sort()
        print("launch of a prepared cell after 150 ms: median \(times[5]) ms, least \(times[0]) ms")
        #expect(times[5] < 100)
    }

    // MARK: Processes

    @Test func exitsAreTold() throws {
        let cell = try TestCell()
        #expect(try cell.run(["/bin/true"]).exit == .exited(0))
        #expect(try cell.run(["/bin/sh", "-c", "exit 42"]).exit == .exited(42))
        #expect(try cell.run(["/bin/sh", "-c", "kill -SEGV $$"]).exit == .signaled(SIGSEGV))
    }

    @Test func environmentArgumentsAndDirectoryAreExactlyAsGiven() throws {
        let cell = try TestCell()
        let environment = [(name: "A", value: "b c=d\né"), (name: "EMPTY", value: "")]
        #expect(try cell.run(["/usr/bin/env", "-0"], environment: environment).output == "A=b c=d\né\0EMPTY=\0")
        #expect(try cell.run(["/usr/bin/env"]).output == "")
        #expect(try cell.run(["/bin/sh", "-c", "pwd"], directory: "/tmp").output == "/tmp\n")
        #expect(try cell.run(["/usr/bin/printf", "%s|", "a b", "", "*"]).output == "a b||*|")
    }

    @Test func whatCannotStartSaysWhy() throws {
        let cell = try TestCell()
        let missing = #expect(throws: SandboxError.self) { try cell.run(["/nope"]) }
        #expect(missing?.stage == "execve" && missing?.errno == ENOENT)
        let directory = #expect(throws: SandboxError.self) { try cell.run(["/bin/true"], directory: "/nope") }
        #expect(directory?.stage == "chdir" && directory?.errno == ENOENT)
        let text = #expect(throws: SandboxError.self) { try cell.run(["/etc/passwd"]) }
        #expect(text?.stage == "execve" && text?.errno == EACCES)
        #expect(try cell.run(["/bin/true"]).exit == .exited(0), "the cell lives on")
    }

    @Test func stdinIsEmptyAndOutputCanBeReopened() throws {
        let cell = try TestCell()
        let ran = try cell.run(["/bin/sh", "-c", "cat; echo out >/dev/stdout; echo err >/dev/stderr"])
        #expect(ran.output == "out\n")
        #expect(ran.errors == "err\n")
    }

    @Test func onePipeKeepsTheOrderOfBothStreams() throws {
        let cell = try TestCell()
        let output = try Cell.outputPipe()
        try cell.cell.start(
            ProcessSpec(
                id: 1000, arguments: ["/bin/sh", "-c", "for i in 1 2 3; do echo out $i; echo err $i >&2; done"]),
            stdout: output.write, stderr: output.write)
        close(output.write)
        #expect(try readToEnd(output.read) == "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n")
    }

    /// What is written to `/tmp` is told apart from the processes' own memory.
    @Test(.enabled(if: Host.keeps(.memory), "no memory controller")) func memoryIsToldApartFromTmp() throws {
        let cell = try TestCell {
            $0.tmpBytes = 64 << 20
            $0.limits.memoryBytes = 256 << 20
        }
        let holder = try cell.start([
            "/usr/bin/python3", "-I", "-S", "-c",
            "open('/tmp/fill', 'wb').write(bytes(48 << 20)); x = b'x' * (96 << 20); "
                + "print('up', flush=True); import time; time.sleep(1000)",
        ])
        #expect(try readLine(holder.stdout) == "up")
        let usage = try #require(cell.cell.memoryUsage())
        #expect((96 << 20)...(112 << 20) ~= usage.anonymousBytes, "\(usage)")
        #expect((48 << 20)...(80 << 20) ~= usage.fileBytes, "\(usage)")
        try cell.killAllAndAwait()
        let left = try #require(cell.cell.memoryUsage())
        #expect(left.anonymousBytes < 8 << 20 && left.fileBytes >= 48 << 20, "\(left)")
        close(holder.stdout)
        close(holder.stderr)
    }

    @Test func noDescriptorOfTheServerGetsIn() throws {
        let cell = try TestCell()
        #expect(
            try cell.python("import os; print(sorted(int(f) for f in os.listdir('/proc/self/fd'))[:4])")
                == "[0, 1, 2, 3]")
        let targets = try cell.python(
            "import os; print([os.readlink(f'/proc/self/fd/{i}').split(':')[0] for i in (0,1,2)])")
        #expect(targets == "['/dev/null', 'pipe', 'pipe']")
    }

    @Test func signalsReachOneProcess() throws {
        let cell = try TestCell()
        let first = try cell.start(["/bin/sleep", "1000"])
        let second = try cell.start(["/bin/sleep", "1000"])
        cell.cell.signal(process: first.id, SIGTERM)
        #expect(try cell.awaitExit(first.id) == .signaled(SIGTERM))
        cell.cell.signal(process: second.id, SIGKILL)
        #expect(try cell.awaitExit(second.id) == .signaled(SIGKILL))
        for pipe in [first.stdout, first.stderr, second.stdout, second.stderr] { close(pipe) }
    }

    @Test func killAllTakesDaemonsAndDoubleForksButKeepsTmp() throws {
        let cell = try TestCell()
        let daemon = try cell.start([
            "/usr/bin/python3", "-I", "-S", "-c",
            """
            import os, signal, time
            open('/tmp/kept', 'w').write('yes')
            for s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)
            for _ in range(3):
                if os.fork() == 0:
                    os.setsid()
                    if os.fork() == 0:
                        print('up', flush=True)
                        time.sleep(1000)
                    os._exit(0)
            time.sleep(1000)
            """,
        ])
        for _ in 0..<3 { #expect(try readLine(daemon.stdout) == "up") }
        try cell.killAllAndAwait()
        #expect(try cell.awaitExit(daemon.id) == .signaled(SIGKILL))
        #expect(try readToEnd(daemon.stdout) == "", "nobody holds the pipe any more")
        close(daemon.stderr)
        // A new runtime in the same environment: /tmp is kept, no process is.
        let left = try cell.python(
            "import os; print(open('/tmp/kept').read(), [p for p in os.listdir('/proc') if p.isdigit() and p not in ('1', str(os.getpid()))])"
        )
        #expect(left == "yes []")
    }

    @Test func eightProcessesSideBySide() throws {
        let cell = try TestCell()
        let processes = try (0..<8).map { _ in try cell.start(["/bin/sh", "-c", "echo $$; sleep 1000"]) }
        #expect(try Set(processes.map { try readLine($0.stdout) }).count == 8)
        try cell.killAllAndAwait()
        for process in processes {
            #expect(try cell.awaitExit(process.id) == .signaled(SIGKILL))
            close(process.stdout)
            close(process.stderr)
        }
    }

    // MARK: Network

    @Test func onlyTheListenersAreReachable() throws {
        let cell = try TestCell()
        let runtime = try cell.start(["/usr/bin/python3", "-I", "-S", "-c", connect(to: 9001)])
        let listener = try cell.descriptor(port: 9001)
        #expect(isReadable(listener, milliseconds: 20_000))
        let connection = accept(listener, nil, nil)
        #expect(connection >= 0)
        #expect(write(connection, "hello", 5) == 5)
        close(connection)
        #expect(try readToEnd(runtime.stdout).trimmed == "hello")
        close(runtime.stderr)

        // A server of the host, on loopback and on an abstract socket: neither is there.
        let host = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(host) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic -> Int in
                guard bind(host, generic, size) == 0, listen(host, 1) == 0, getsockname(host, generic, &size) == 0
                else {
                    return 0
                }
                return 1
            } == 1 ? Int(UInt16(bigEndian: pointer.pointee.sin_port)) : 0
        }
        #expect(port > 0)
        let seen = try cell.python(
            """
            import errno, socket
            def reach(address, family=socket.AF_INET):
                s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(5)
                try: s.connect(address)
                except OSError as e: return errno.errorcode.get(e.errno, e)
                return 'REACHED'
            print(reach(('127.0.0.1', \(port))), reach(('192.0.2.1', 80)), reach(('169.254.169.254', 80)), reach(('::1', 4566), socket.AF_INET6))
            """)
        #expect(seen == "ECONNREFUSED ENETUNREACH ENETUNREACH ECONNREFUSED")
    }

    @Test func aListenerIsTheCellsIdentity() throws {
        let (a, b) = (try TestCell(), try TestCell())
        let caller = try b.start(["/usr/bin/python3", "-I", "-S", "-c", connect(to: 9001)])
        #expect(isReadable(try b.descriptor(port: 9001), milliseconds: 20_000))
        #expect(!isReadable(try a.descriptor(port: 9001), milliseconds: 0))
        try b.killAllAndAwait()
        close(caller.stdout)
        close(caller.stderr)
    }

    private func connect(to port: Int) -> String {
        "import socket; s = socket.create_connection(('127.0.0.1', \(port))); print(s.recv(100).decode())"
    }

    @Test func namesResolveOnlyToLoopback() throws {
        let cell = try TestCell { $0.hostname = "169.254.1.2" }
        #expect(
            try cell.python(
                """
                import socket
                print(socket.gethostbyname('localhost'), socket.gethostbyname('sandbox.localdomain'), socket.gethostname())
                try: print(socket.getaddrinfo('example.com', 80))
                except socket.gaierror: print('unknown')
                """) == "127.0.0.1 127.0.0.1 169.254.1.2\nunknown")
    }

    // MARK: The tree

    @Test func codeIsReadOnlyAndTheRestToo() throws {
        let code = try HostDirectory()
        try code.write("handler.py", "x = 1", mode: 0o666)
        let cell = try TestCell { $0.binds = [.init(source: code.path, target: "/var/task")] }
        #expect(
            try cell.python(
                """
                import errno, os
                def attempt(path):
                    try: open(path, 'w').write('evil')
                    except OSError as e: return errno.errorcode[e.errno]
                    return 'WRITTEN'
                print(open('/var/task/handler.py').read(), *[attempt(p) for p in ('/var/task/handler.py', '/var/task/new', '/usr/new', '/etc/passwd', '/new', '/opt/new')])
                """) == "x = 1 EROFS EROFS EROFS EROFS EROFS EROFS")
    }

    @Test func writableAndNestedBinds() throws {
        let (outer, inner) = (try HostDirectory(), try HostDirectory())
        try inner.write("file", "inner")
        let cell = try TestCell {
            $0.binds = [
                .init(source: outer.path, target: "/mnt/outer", readOnly: false),
                .init(source: inner.path + "/file", target: "/deep/er/file"),
                .init(source: "/nowhere", target: "/nowhere", optional: true),
            ]
        }
        let ran = try cell.run(["/bin/sh", "-c", "cat /deep/er/file >/mnt/outer/made && ls /nowhere 2>&1"])
        #expect(ran.exit == .exited(2), "\(ran)")
        let made = open(outer.path + "/made", O_RDONLY)
        #expect(made >= 0)
        #expect(try readToEnd(made) == "inner")
    }

    @Test func aMissingSourceNamesItsStage() throws {
        let error = #expect(throws: SandboxError.self) {
            try TestCell { $0.binds = [.init(source: "/no/such/code", target: "/var/task")] }
        }
        #expect(error?.stage == "bind /no/such/code at /var/task")
        #expect(error?.errno == ENOENT)
    }

    @Test func aLinkInCodeCannotLeadAMountElsewhere() throws {
        let code = try HostDirectory()
        try #require(symlink("/etc", code.path + "/evil") == 0)
        let error = #expect(throws: SandboxError.self) {
            try TestCell {
                $0.binds = [
                    .init(source: code.path, target: "/var/task"), .init(source: "/usr", target: "/var/task/evil/x"),
                ]
            }
        }
        #expect(error?.errno == ENOTDIR)
    }

    @Test func tmpIsPrivateAndBounded() throws {
        let (a, b) = (try TestCell { $0.tmpBytes = 4 << 20 }, try TestCell())
        #expect(
            try a.python(
                """
                import errno
                try: open('/tmp/full', 'wb').write(bytes(8 << 20))
                except OSError as e: print(errno.errorcode[e.errno])
                """) == "ENOSPC")
        #expect(try b.python("import os; print(os.listdir('/tmp'), oct(os.stat('/tmp').st_mode))") == "[] 0o41777")
        #expect(access("/tmp/full", F_OK) != 0)
    }

    @Test func theUserIsAWSs() throws {
        let cell = try TestCell()
        let text = try cell.python(
            "import pwd, os; print(pwd.getpwuid(os.getuid()).pw_name, os.getuid() != 0, os.getgid() != 0, os.getgroups())"
        )
        #expect(text == "sbx_user1051 True True []")
    }

    // MARK: Isolation none

    @Test func withoutIsolationTheSameCommandsWork() throws {
        let cell = try TestCell {
            $0.isolation = .none
            $0.listeners = [.init(port: 0)]
        }
        #expect(cell.cell.listeners.first.map { $0.port > 0 } == true)
        let user = try cell.run(["/usr/bin/id", "-u"], directory: "/usr").output.trimmed
        #expect(user == String(geteuid()))
        let daemon = try cell.start(["/bin/sh", "-c", "(setsid sleep 1000 & echo up); sleep 1000"])
        #expect(try readLine(daemon.stdout) == "up")
        try cell.killAllAndAwait()
        #expect(try readToEnd(daemon.stdout) == "")
        #expect(try cell.awaitExit(daemon.id) == .signaled(SIGKILL))
        close(daemon.stderr)
    }

    // MARK: The end

    @Test func aDestroyedCellLeavesNothing() throws {
        let mounts = mountCount()
        let cell = try TestCell()
        let sleeper = try cell.start(["/bin/sh", "-c", "(setsid sleep 1000 &); echo up; sleep 1000"])
        #expect(try readLine(sleeper.stdout) == "up")
        let first = cell.cell.initProcess
        #expect(kill(first, 0) == 0 || errno == EPERM)
        cell.cell.destroy()
        #expect(kill(first, 0) != 0 && errno == ESRCH)
        #expect(try readToEnd(sleeper.stdout) == "")
        close(sleeper.stderr)
        #expect(mountCount() == mounts)
        cell.cell.destroy()
        #expect(throws: SandboxError.self) { try cell.start(["/bin/true"]) }
        cell.cell.killAll()
    }

    private func mountCount() -> Int {
        let file = open("/proc/self/mountinfo", O_RDONLY)
        return (try? readToEnd(file).split(separator: "\n").count) ?? -1
    }

    @Test func aCellWhoseInitDiesSaysSo() throws {
        let cell = try TestCell()
        kill(cell.cell.initProcess, SIGKILL)
        #expect(try cell.awaitGone() == "the cell's init was killed by signal 9")
        #expect(throws: SandboxError.self) { try cell.start(["/bin/true"]) }
    }

    @Test func aMissingHelperIsExplained() {
        let launcher = CellLauncher(helperPath: "/no/martlet-cell", groups: nil, logger: .init(label: "test"))
        let error = #expect(throws: SandboxError.self) {
            try launcher.launch(CellSpec(name: "x", limits: .init(memoryBytes: 1 << 20, cpuMillis: 100))) { _ in }
        }
        #expect(error?.stage == "start martlet-cell" && error?.errno == ENOENT)
    }
}
