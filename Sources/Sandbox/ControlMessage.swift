// The control protocol with martlet-cell (Sources/CSandbox/cell/protocol.h, which describes it). One message per command
// or report; integers little-endian; strings as a length, the bytes and a NUL.

/// What the server tells a cell.
enum ControlCommand {
    static let version: UInt32 = 1

    private enum Kind: UInt32 {
        case spec = 1
        case start = 2
        case signal = 3
        case killAll = 4
        case prepare = 5
    }

    struct Credentials: Equatable {
        var user: UInt32
        var group: UInt32
        /// Whether the cell needs an own user namespace: the server is not root.
        var userNamespace: Bool
    }

    /// `group` is nil for a prepared cell, which is in its groups already, and where there are none.
    static func spec(
        _ spec: CellSpec, files: HostFiles?, credentials: Credentials, group: ControlGroup?
    ) throws(SandboxError) -> [UInt8] {
        let isolated = spec.isolation == .namespaces
        var flags: UInt32 = 0
        if isolated {
            flags |= 1
            if spec.egress == .isolated { flags |= 2 }
            if credentials.userNamespace { flags |= 4 }
        }
        var binds = files?.binds ?? []
        if files != nil, spec.egress == .host { binds.append(HostFiles.resolver) }
        binds += spec.binds
        let links = files?.links ?? []
        guard spec.listeners.count <= Limits.listeners, binds.count <= Limits.binds, links.count <= Limits.links else {
            throw SandboxError(stage: "spec", message: "more listeners, binds or links than a cell can have")
        }
        guard spec.tmpBytes > 0, spec.limits.processes > 0, spec.limits.openFiles > 0 else {
            throw SandboxError(stage: "spec", message: "the size of /tmp, processes and open files must be over zero")
        }
        var writer = MessageWriter(kind: Kind.spec.rawValue)
        writer.number(flags)
        writer.number(credentials.user)
        writer.number(credentials.group)
        writer.number(UInt64(spec.tmpBytes))
        writer.number(UInt32(clamping: spec.limits.processes))
        writer.number(UInt32(clamping: spec.limits.openFiles))
        try writer.string(String(spec.hostname.prefix(63)))
        writer.number(UInt32(spec.listeners.count))
        for listener in spec.listeners {
            try writer.string(listener.host)
            writer.number(UInt32(clamping: listener.port))
        }
        writer.number(UInt32(binds.count))
        for bind in binds {
            let flags: UInt32 = (bind.readOnly ? 1 : 0) + (bind.optional ? 2 : 0)
            writer.number(flags)
            try writer.string(bind.source)
            try writer.string(bind.target)
        }
        writer.number(UInt32(links.count))
        for link in links {
            try writer.string(link.text)
            try writer.string(link.target)
        }
        try writer.groups(group)
        return try writer.finish()
    }

    /// Before the spec, which then names no group: the cell waits in its control groups.
    static func prepare(_ group: ControlGroup) throws(SandboxError) -> [UInt8] {
        var writer = MessageWriter(kind: Kind.prepare.rawValue)
        try writer.groups(group)
        return try writer.finish()
    }

    static func start(_ process: ProcessSpec) throws(SandboxError) -> [UInt8] {
        guard !process.arguments.isEmpty, process.arguments.count <= Limits.arguments,
            process.environment.count <= Limits.variables
        else {
            throw SandboxError(stage: "start", message: "no program, or too many arguments or variables")
        }
        var writer = MessageWriter(kind: Kind.start.rawValue)
        writer.number(process.id)
        try writer.string(process.workingDirectory)
        writer.number(UInt32(process.arguments.count))
        for argument in process.arguments { try writer.string(argument) }
        writer.number(UInt32(process.environment.count))
        for variable in process.environment { try writer.string("\(variable.name)=\(variable.value)") }
        return try writer.finish()
    }

    static func signal(process: UInt32, number: Int32) -> [UInt8] {
        var writer = MessageWriter(kind: Kind.signal.rawValue)
        writer.number(process)
        writer.number(UInt32(clamping: number))
        return writer.bytes
    }

    static func killAll() -> [UInt8] { MessageWriter(kind: Kind.killAll.rawValue).bytes }
}

/// What a cell tells the server. A cell is not trusted to tell it well: anything malformed is nil.
enum ControlReport: Equatable {
    case ready(initProcess: Int32, ports: [Int])
    case failed(SandboxError)
    case started(process: UInt32)
    case startFailed(process: UInt32, SandboxError)
    case exited(process: UInt32, ProcessExit)
    case allKilled
    case gone(reason: String)
    case prepared

    init?(_ bytes: some Collection<UInt8>) {
        var reader = MessageReader(bytes)
        guard let head = reader.number(), head & 0xFF == ControlCommand.version else { return nil }
        guard let report = ControlReport(kind: head >> 8, &reader), reader.isAtEnd else { return nil }
        self = report
    }

    private init?(kind: UInt32, _ reader: inout MessageReader) {
        switch kind {
        case 1:
            guard let process = reader.number().flatMap(Int32.init(exactly:)), let count = reader.number(),
                count <= UInt32(Limits.listeners)
            else { return nil }
            var ports: [Int] = []
            for _ in 0..<count {
                guard let port = reader.number(), port <= 65_535 else { return nil }
                ports.append(Int(port))
            }
            self = .ready(initProcess: process, ports: ports)
        case 2:
            guard let error = reader.error() else { return nil }
            self = .failed(error)
        case 3:
            guard let process = reader.number() else { return nil }
            self = .started(process: process)
        case 4:
            guard let process = reader.number(), let error = reader.error() else { return nil }
            self = .startFailed(process: process, error)
        case 5:
            guard let process = reader.number(), let kind = reader.number(), kind <= 1,
                let status = reader.number().flatMap(Int32.init(exactly:))
            else { return nil }
            self = .exited(process: process, kind == 0 ? .exited(status) : .signaled(status))
        case 6: self = .allKilled
        case 7:
            guard let reason = reader.string() else { return nil }
            self = .gone(reason: reason)
        case 8: self = .prepared
        default: return nil
        }
    }
}

struct MessageWriter {
    private(set) var bytes: [UInt8] = []

    init(kind: UInt32) { number(ControlCommand.version | kind << 8) }

    mutating func number(_ value: UInt32) {
        for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    mutating func number(_ value: UInt64) {
        number(UInt32(truncatingIfNeeded: value))
        number(UInt32(truncatingIfNeeded: value >> 32))
    }

    /// Refuses a NUL inside: the other side is C, and would silently see less.
    mutating func string(_ text: String) throws(SandboxError) {
        guard !text.utf8.contains(0) else {
            throw SandboxError(stage: "encode", message: "a path, argument or variable holds a NUL character")
        }
        number(UInt32(clamping: text.utf8.count))
        bytes.append(contentsOf: text.utf8)
        bytes.append(0)
    }

    mutating func groups(_ group: ControlGroup?) throws(SandboxError) {
        let paths = group?.paths ?? []
        number(UInt32(paths.count))
        for path in paths { try string(path) }
        try string(group?.thaw?.file ?? "")
        try string(group?.thaw?.text ?? "")
    }

    func finish() throws(SandboxError) -> [UInt8] {
        guard bytes.count <= Limits.messageBytes else {
            throw SandboxError(
                stage: "encode", message: "paths, arguments and variables are over \(Limits.messageBytes) bytes in all")
        }
        return bytes
    }
}

struct MessageReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: some Collection<UInt8>) { rest = ArraySlice(bytes) }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func number() -> UInt32? {
        guard rest.count >= 4 else { return nil }
        let value = rest.prefix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        rest = rest.dropFirst(4)
        return value
    }

    mutating func string() -> String? {
        guard let count = number().map(Int.init), count < rest.count else { return nil }
        let text = rest.prefix(count)
        guard rest.dropFirst(count).first == 0 else { return nil }
        rest = rest.dropFirst(count + 1)
        return String(decoding: text, as: UTF8.self)
    }

    mutating func error() -> SandboxError? {
        guard let number = number(), let stage = string(), let text = string() else { return nil }
        return SandboxError(stage: stage, errno: Int32(clamping: number), message: text)
    }
}
