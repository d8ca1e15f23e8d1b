import Glibc
import Sandbox
import Testing

/// What a hostile function tries. Also run by `UnprivilegedTests` as nobody.
@Suite(.enabled(if: Host.hasCells && Host.python, "cells and python3 are needed"))
struct HostileTests {
    @Test func itSeesNoFileOfTheHost() throws {
        let cell = try TestCell()
        let seen = try cell.python(
            "import os; print([p for p in ('/root/.bashrc', '/etc/shadow', '/var/log', '/sys', '/boot', '/mnt', '/dev/shm', '/dev/vda', '/dev/mem', '/dev/tty', '/run/docker.sock') if os.path.exists(p)])"
        )
        #expect(seen == "[]")
        #expect(
            try cell.python("import os; print(sorted(os.listdir('/root') + os.listdir('/home') + os.listdir('/run')))")
                == "[]")
    }

    @Test func theHostsNetworkOnlyWhenAskedFor() throws {
        let cell = try TestCell {
            $0.egress = .host
            $0.listeners = [.init(port: 0)]
        }
        let port = try #require(cell.cell.listeners.first?.port)
        // The listener is the host's here, so another cell of the same kind reaches it, and an isolated one does not.
        let source = """
            import socket
            try: socket.create_connection(('127.0.0.1', \(port)), 5); print('reached')
            except OSError as e: print('refused')
            """
        let other = try TestCell {
            $0.egress = .host
            $0.listeners = []
        }
        #expect(try other.python(source) == "reached")
        #expect(try TestCell().python(source) == "refused")
    }

    @Test func itSeesNoOtherProcess() throws {
        let (cell, other) = (try TestCell(), try TestCell())
        let sleeper = try other.start(["/bin/sleep", "1000"])
        let seen = try cell.python(
            "import os; print([p for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()], os.path.exists('/proc/\(getpid())/environ') and os.getpid() != \(getpid()))"
        )
        #expect(seen == "[] False")
        // Signals find nobody, and its own init does not care.
        let kills = try cell.python(
            """
            import errno, os
            def attempt(pid):
                try: os.kill(pid, 9)
                except OSError as e: return errno.errorcode[e.errno]
                return 'sent'
            print(attempt(\(getpid() + 4_000_000)), attempt(1) in ('EPERM', 'sent'))
            """)
        #expect(kills == "ESRCH True")
        #expect(try cell.run(["/bin/true"]).exit == .exited(0), "init lives")
        try other.killAllAndAwait()
        close(sleeper.stdout)
        close(sleeper.stderr)
    }

    @Test func theInitCannotBeTouched() throws {
        let cell = try TestCell()
        let seen = try cell.python(
            """
            def attempt(name):
                try: return len(open('/proc/1/' + name, 'rb').read(10))
                except OSError as e: return type(e).__name__
            print({attempt(n) for n in ('mem', 'environ', 'maps', 'root/etc/passwd', 'fd/3', 'cwd/etc/passwd')} <= {'FileNotFoundError', 'PermissionError'})
            """)
        #expect(seen == "True")
    }

    @Test func itHasNoPrivilegeAndGetsNone() throws {
        let cell = try TestCell()
        let status = try cell.python(
            "print([l.split()[1] for l in open('/proc/self/status') if l.startswith(('Cap', 'NoNewPrivs', 'Seccomp:'))])"
        )
        let none = "'0000000000000000'"
        #expect(status == "[\(none), \(none), \(none), \(none), \(none), '1', '2']")
    }

    /// Numbers of system calls are x86_64's here; on another machine the list is skipped, not passed.
    #if arch(x86_64)
        @Test func systemCallsAreRefused() throws {
            let cell = try TestCell()
            let source = """
                import ctypes, errno
                libc = ctypes.CDLL(None, use_errno=True)
                def call(*a):
                    ctypes.set_errno(0)
                    r = libc.syscall(*[x if isinstance(x, bytes) else ctypes.c_long(x) for x in a])
                    return errno.errorcode[ctypes.get_errno()] if r < 0 else 'OK'
                calls = dict(
                    ptrace=(101, 0, 0, 0, 0), mount=(165, b'none', b'/tmp', b'tmpfs', 0, 0), umount=(166, b'/tmp', 2), pivot_root=(155, b'/', b'/'),
                    chroot=(161, b'/tmp'), unshare_user=(272, 0x10000000), unshare_net=(272, 0x40000000), setns=(308, 0, 0),
                    clone_newuser=(56, 0x10000011, 0, 0, 0, 0), clone_newns=(56, 0x20011, 0, 0, 0, 0), fsopen=(430, b'tmpfs', 0), open_tree=(428, -100, b'/', 1),
                    move_mount=(429, 0, b'', 0, b'', 0), mount_setattr=(442, -100, b'/', 0, 0, 0), keyctl=(250, 0, 0), add_key=(248, b'user', b'x', b'y', 1, -3),
                    bpf=(321, 0, 0, 0), perf=(298, 0, 0, -1, -1, 0), userfaultfd=(323, 0), kexec=(246, 0, 0, 0, 0), init_module=(175, 0, 0, b''),
                    open_by_handle=(304, 0, 0, 0), io_uring_setup=(425, 1, 0), process_vm_readv=(310, 1, 0, 0, 0, 0, 0), process_vm_writev=(311, 1, 0, 0, 0, 0, 0),
                    reboot=(169, 0xfee1dead, 672274793, 0x1234567, 0), swapon=(167, b'/tmp/x', 0), quotactl=(179, 0, 0, 0, 0), acct=(163, 0), settimeofday=(164, 0, 0),
                    clock_settime=(227, 0, 0), sethostname=(170, b'x', 1), personality=(135, 0x40000), pidfd_getfd=(438, 0, 0, 0), iopl=(172, 3),
                    tiocsti=(16, 0, 0x5412, b'x'), fanotify=(300, 0, 0), kcmp=(312, 1, 1, 0, 0, 0), memfd_secret=(447, 0), syslog=(103, 3, 0, 0))
                wrong = {n: r for n, r in ((n, call(*a)) for n, a in calls.items()) if r != 'EPERM'}
                print(wrong, call(435, 0, 0), call(600), call(0x40000000 + 39), call(135, 0xffffffff))
                """
            #expect(try cell.python(source) == "{} ENOSYS ENOSYS ENOSYS OK")
        }

        /// The 32-bit door: int 0x80 with the numbers of i386 (20 is getpid).
        @Test func theOldDoorIsShut() throws {
            let cell = try TestCell()
            let source = """
                import ctypes, mmap
                code = bytes.fromhex('b814000000cd80c3')  # mov eax, 20; int 0x80; ret
                m = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
                m.write(code)
                f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))
                print(f())
                """
            let ran = try cell.run(["/usr/bin/python3", "-I", "-S", "-c", source])
            // EPERM from the filter, or SIGSEGV on kernels built without 32-bit emulation.
            #expect(ran.output.trimmed == "-1" || ran.exit == .signaled(SIGSEGV), "\(ran)")
        }
    #endif

    @Test func socketFamiliesAreThoseOfTheInternet() throws {
        let cell = try TestCell()
        let seen = try cell.python(
            """
            import socket
            def attempt(family, kind=1, protocol=0):
                try: socket.socket(family, kind, protocol).close()
                except OSError as e: return 'no'
                return 'yes'
            print(attempt(1), attempt(2), attempt(10), attempt(16, 3, 0), attempt(16, 3, 9), attempt(17, 3), attempt(40), attempt(38, 5), attempt(2, 3, 1))
            """)
        #expect(seen == "yes yes yes yes no no no no no")
    }

    @Test func setuidProgramsDoNotRaiseIt() throws {
        let cell = try TestCell()
        let ran = try cell.run([
            "/bin/sh", "-c",
            "for p in /usr/bin/su /usr/bin/passwd /usr/bin/mount; do [ -u $p ] && echo found; done; su -c id root </dev/null",
        ])
        #expect(!ran.output.contains("uid=0"))
    }

    @Test func kernelSettingsCannotBeWritten() throws {
        let cell = try TestCell()
        let seen = try cell.python(
            """
            import os
            def attempt(path):
                try: os.write(os.open(path, os.O_WRONLY), b'0 0 1'); return path
                except OSError: return None
            print([p for p in map(attempt, ('/proc/sys/kernel/core_pattern', '/proc/sys/net/ipv4/ip_forward', '/proc/sysrq-trigger', '/proc/sys/kernel/hostname', '/proc/self/uid_map')) if p],
                  len(open('/proc/timer_list').read()) if os.path.exists('/proc/timer_list') else 0, os.listdir('/proc/acpi') if os.path.exists('/proc/acpi') else [])
            """)
        #expect(seen == "[] 0 []")
    }

    // MARK: Limits

    @Test(.enabled(if: Host.keeps(.memory), "no memory controller"))
    func memoryOverTheLimitIsKilledAndSeen() throws {
        let cell = try TestCell { $0.limits.memoryBytes = 64 << 20 }
        #expect(cell.cell.outOfMemoryKills() == 0)
        let ran = try cell.run(["/usr/bin/python3", "-c", "x = bytearray(256 << 20); print('survived')"])
        #expect(ran.exit == .signaled(SIGKILL))
        #expect(ran.output == "")
        #expect(cell.cell.outOfMemoryKills() == 1)
        let peak = try #require(cell.cell.memoryPeakBytes())
        #expect((48 << 20)...(64 << 20) ~= peak)
        // Only a grandchild dies: the shell ends well, the counter still tells.
        let shell = try cell.run(
            ["/bin/sh", "-c", "python3 -c 'x = bytearray(256 << 20)'; exit 0"], environment: [("PATH", "/usr/bin")])
        #expect(shell.exit == .exited(0))
        #expect(cell.cell.outOfMemoryKills() == 2)
        #expect(try cell.run(["/bin/true"]).exit == .exited(0), "the cell lives on")
    }

    @Test func aForkBombStaysWithinItsProcesses() throws {
        let cell = try TestCell { $0.limits.processes = 24 }
        let bomb = try cell.start([
            "/usr/bin/python3", "-I", "-S", "-c",
            """
            import os, time
            count = 0
            while True:
                try:
                    if os.fork() == 0: time.sleep(1000)
                    count += 1
                except OSError as e:
                    print(count, e.errno, flush=True); break
            while True:
                try:
                    if os.fork() == 0: pass
                except OSError: pass
            """,
        ])
        let words = try readLine(bomb.stdout).split(separator: " ")
        #expect(words.count == 2 && words.last == "11")
        #expect((20...24).contains(Int(words.first ?? "") ?? 0))
        try cell.killAllAndAwait()
        #expect(try readToEnd(bomb.stdout) == "")
        close(bomb.stderr)
        #expect(try cell.run(["/bin/true"]).exit == .exited(0))
    }

    @Test func openFilesAreBounded() throws {
        let cell = try TestCell()
        let seen = try cell.python(
            """
            import os, resource
            print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE))
            try: resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
            except Exception as e: print(type(e).__name__)
            """)
        #expect(seen == "(1024, 1024) (0, 0)\nValueError" || seen == "(1024, 1024) (0, 0)\nPermissionError")
    }

    @Test(.enabled(if: Host.keeps(.cpu), "no cpu controller"))
    func cpuIsShared() throws {
        let cell = try TestCell { $0.limits.cpuMillis = 100 }
        // 0.1 s of work at a tenth of a CPU takes about a second.
        let seconds = try cell.python(
            """
            import time
            begun, used = time.monotonic(), time.process_time()
            while time.process_time() - used < 0.1: pass
            print(time.monotonic() - begun)
            """)
        #expect((Double(seconds) ?? 0) > 0.4)
    }

    @Test(.enabled(if: Host.keeps(.freezer), "no freezer"))
    func frozenMeansStill() throws {
        let cell = try TestCell()
        let ticker = try cell.start(["/bin/sh", "-c", "while :; do echo tick; sleep 0.01; done"])
        #expect(try readLine(ticker.stdout) == "tick")
        cell.cell.freeze()
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while isReadable(ticker.stdout, milliseconds: 100) { _ = read(ticker.stdout, &chunk, 5) }
        #expect(!isReadable(ticker.stdout, milliseconds: 300), "it ticks on")
        cell.cell.thaw()
        #expect(try readLine(ticker.stdout) == "tick")
        cell.cell.freeze()
        try cell.killAllAndAwait()
        close(ticker.stdout)
        close(ticker.stderr)
        let again = try cell.start(["/bin/sleep", "1000"])
        cell.cell.freeze()
        cell.cell.destroy()
        #expect(kill(cell.cell.initProcess, 0) != 0)
        close(again.stdout)
        close(again.stderr)
    }
}
