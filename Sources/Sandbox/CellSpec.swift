/// How strongly a function is kept apart.
public enum Isolation: String, Sendable, CaseIterable {
    /// Own namespaces, tree, user, filter of system calls: the default.
    case namespaces
    /// A plain process of the server's own user. It can do what the server can do: asked for by name only.
    case none
}

/// What a cell reaches over the network.
public enum Egress: String, Sendable, CaseIterable {
    /// Only loopback, with nothing on it but the cell's listeners.
    case isolated
    /// The host's network, with everything on it.
    case host
}

/// What a cell is made of.
public struct CellSpec: Sendable {
    /// For control groups and diagnostics; need not be unique.
    public var name: String
    public var hostname: String
    /// What the cell sees of the host, beside the host's own programs and libraries (`HostFiles`).
    public var binds: [Bind]
    /// Whether `/usr` and what programs from there need is bound too.
    public var includesHostFiles: Bool
    /// Size of the cell's own `/tmp`, bytes. It is memory: what is written there counts against `limits.memoryBytes`.
    public var tmpBytes: Int
    public var limits: Limits
    /// Sockets that listen inside the cell and are handed to the server; at most eight.
    public var listeners: [Listener]
    public var isolation: Isolation
    public var egress: Egress

    public struct Bind: Sendable, Equatable {
        /// An absolute path of the host. Nothing there is an error unless `optional`.
        public var source: String
        /// An absolute path in the cell; the directories above it are made.
        public var target: String
        public var readOnly: Bool
        public var optional: Bool

        public init(source: String, target: String, readOnly: Bool = true, optional: Bool = false) {
            self.source = source
            self.target = target
            self.readOnly = readOnly
            self.optional = optional
        }
    }

    /// What the cell may use; kept by control groups, and not at all without them (see `SandboxReport`).
    public struct Limits: Sendable, Equatable {
        public var memoryBytes: Int
        /// 1000 is one CPU. AWS gives memory in MB / 1,769 of a CPU.
        public var cpuMillis: Int
        public var processes: Int
        public var openFiles: Int

        /// AWS's quota of "file descriptors / execution processes" of an environment.
        public static let defaultProcesses = 1024
        public static let defaultOpenFiles = 1024

        public init(
            memoryBytes: Int, cpuMillis: Int, processes: Int = defaultProcesses, openFiles: Int = defaultOpenFiles
        ) {
            self.memoryBytes = memoryBytes
            self.cpuMillis = cpuMillis
            self.processes = processes
            self.openFiles = openFiles
        }
    }

    public struct Listener: Sendable, Equatable {
        /// An IPv4 address.
        public var host: String
        /// 0 takes a free one; the cell says which. Without an own network namespace only 0 is safe.
        public var port: Int

        public init(host: String = "127.0.0.1", port: Int) {
            self.host = host
            self.port = port
        }
    }

    public init(
        name: String, hostname: String = "localhost", binds: [Bind] = [], includesHostFiles: Bool = true,
        tmpBytes: Int = 512 << 20, limits: Limits,
        listeners: [Listener] = [Listener(port: 9001), Listener(port: 4566)],
        isolation: Isolation = .namespaces, egress: Egress = .isolated
    ) {
        self.name = name
        self.hostname = hostname
        self.binds = binds
        self.includesHostFiles = includesHostFiles
        self.tmpBytes = tmpBytes
        self.limits = limits
        self.listeners = listeners
        self.isolation = isolation
        self.egress = egress
    }
}

/// A process to be started in a cell.
public struct ProcessSpec: Sendable {
    /// Chosen by the caller; unique among the cell's running processes.
    public var id: UInt32
    /// The first is the absolute path of the program.
    public var arguments: [String]
    /// All of it: nothing is inherited.
    public var environment: [(name: String, value: String)]
    public var workingDirectory: String

    public init(
        id: UInt32, arguments: [String], environment: [(name: String, value: String)] = [],
        workingDirectory: String = "/"
    ) {
        self.id = id
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
    }
}

/// What a cell's memory is made of.
public struct MemoryUsage: Sendable, Equatable {
    /// The processes' own memory: heaps, stacks, changed pages of files.
    public var anonymousBytes: UInt64
    /// Page cache, with what is in `/tmp` and in shared memory.
    public var fileBytes: UInt64

    public init(anonymousBytes: UInt64, fileBytes: UInt64) {
        self.anonymousBytes = anonymousBytes
        self.fileBytes = fileBytes
    }
}

/// How a process ended.
public enum ProcessExit: Sendable, Equatable {
    case exited(Int32)
    case signaled(Int32)
}

/// What a cell tells its owner.
public enum CellEvent: Sendable, Equatable {
    /// A process that `start` had started has ended. May come before `start` has returned.
    case exited(process: UInt32, ProcessExit)
    /// After `killAll`: no process is left in the cell.
    case allKilled
    /// The cell has ended although nobody destroyed it, and every process in it. Call `destroy` to clean up.
    case gone(reason: String)
}
