import FoundationEssentials
import Platform
import Sandbox

/// How to run functions of one runtime on this host.
public struct RuntimeImage: Sendable, Equatable {
    /// What is mounted at /var/runtime; nil for `provided.*`, which bring all that they need.
    public var directory: String?
    /// The program and its options; nil when the function's own `bootstrap` is the program.
    public var interpreter: [String]?
    /// The file in `directory` that the interpreter runs.
    public var bootstrap: String
    /// Host directories that the interpreter needs, beside the host's own programs and libraries.
    public var prefixes: [String]
    /// Full version of what runs, e.g. `3.11.2`.
    public var version: String
    /// The identifier that the function asked for.
    public var runtime: String
    /// When it is not exactly what was asked for: what differs.
    public var warning: String?

    /// Whether the runtime client writes log frames when it is told a descriptor.
    var writesLogFrames: Bool { interpreter != nil }
    /// The program's directory and its libraries, when the host's search paths do not have them.
    var extraPrefix: String? { prefixes.first }

    func binds(code: String, layers: String?) -> [CellSpec.Bind] {
        var binds = [CellSpec.Bind(source: code, target: "/var/task")]
        if let layers { binds.append(CellSpec.Bind(source: layers, target: "/opt")) }
        if let directory { binds.append(CellSpec.Bind(source: directory, target: "/var/runtime")) }
        return binds + prefixes.map { CellSpec.Bind(source: $0, target: $0) }
    }
}

/// A runtime that this host cannot run.
public struct RuntimeUnavailable: Error, Sendable, Equatable, CustomStringConvertible {
    public var runtime: String
    /// What is missing, and how to get it.
    public var message: String
    public var description: String { message }
}

/// The runtimes of this host: what set-up has put into the runtimes root, one directory each with a `runtime.json`.
/// Read once; exactly the version asked for, else the nearest newer one of the family, with a warning.
public final class RuntimeCatalog: Sendable {
    /// One prepared runtime.
    public struct Entry: Sendable, Equatable {
        /// `python` or `nodejs`.
        public var family: String
        public var directory: String
        public var interpreter: String
        public var version: String
        fileprivate var description: Description
    }

    fileprivate struct Description: Sendable, Equatable {
        var interpreter: String
        var version: String
        var prefixes: [String]
        var arguments: [String]
        var bootstrap: String?

        init(_ value: Value) throws(Failure) {
            guard let interpreter = value["interpreter"]?.string, let version = value["version"]?.string else {
                throw Failure(.configuration, "it must have the strings interpreter and version")
            }
            self.interpreter = interpreter
            self.version = version
            prefixes = value["prefixes"]?.list?.compactMap(\.string) ?? []
            arguments = value["arguments"]?.list?.compactMap(\.string) ?? []
            bootstrap = value["bootstrap"]?.string
        }
    }

    public let root: String
    public let entries: [Entry]
    /// Directories of the root that could not be used, and why.
    public let problems: [String]

    /// Never fails: what cannot be read is in `problems`.
    public init(root: String) {
        self.root = root
        var entries: [Entry] = []
        var problems: [String] = []
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        if names.isEmpty {
            problems.append("\(root): no runtimes; run `make setup`, or name the directory with MARTLET_RUNTIMES")
        }
        for name in names.sorted() {
            guard let family = Self.families.first(where: { name.hasPrefix($0) }) else { continue }
            let directory = root + "/" + name
            guard let data = FileManager.default.contents(atPath: directory + "/runtime.json") else {
                problems.append("\(directory): no runtime.json; run `make setup`")
                continue
            }
            do {
                guard data.count <= Limits.runtimeDescriptionBytes else {
                    throw Failure(.limit, "it is too large")
                }
                let description = try Description(JSON.parse(data))
                guard FileManager.default.isExecutableFile(atPath: description.interpreter) else {
                    problems.append(
                        "\(directory): \(description.interpreter) is gone or not for this user; run `make setup`")
                    continue
                }
                entries.append(
                    Entry(
                        family: family, directory: directory, interpreter: description.interpreter,
                        version: description.version, description: description))
            } catch {
                problems.append("\(directory)/runtime.json: \(error)")
            }
        }
        self.entries = entries
        self.problems = problems
    }

    private static let families = ["python", "nodejs"]

    /// What runs functions of this runtime identifier here.
    public func resolve(runtime: String) -> Result<RuntimeImage, RuntimeUnavailable> {
        if runtime == "provided" || runtime.hasPrefix("provided.") {
            return .success(
                RuntimeImage(
                    directory: nil, interpreter: nil, bootstrap: "bootstrap", prefixes: [],
                    version: String(runtime.dropFirst("provided.".count)), runtime: runtime, warning: nil))
        }
        guard let family = Self.families.first(where: { runtime.hasPrefix($0) }) else {
            return .failure(
                RuntimeUnavailable(
                    runtime: runtime,
                    message:
                        "Martlet cannot run the runtime \(runtime) yet. It runs python3.*, nodejs*.x and provided.*: "
                        + "put the program's own runtime client into an executable `bootstrap` and use provided.al2023."
                ))
        }
        let wanted = Self.version(String(runtime.dropFirst(family.count)), family)
        let candidates = entries.filter { $0.family == family }
            .map { (entry: $0, version: Self.version($0.version, family)) }
            .filter { !Self.isOlder($0.version, wanted) }
            .sorted { Self.isOlder($0.version, $1.version) }
        guard let best = candidates.first else { return .failure(missing(runtime, family)) }
        let exact = best.version == wanted
        return .success(image(best.entry, for: runtime, isExact: exact))
    }

    private func image(_ entry: Entry, for runtime: String, isExact: Bool) -> RuntimeImage {
        let provided = ["/usr", "/lib", "/lib64", "/bin", "/sbin"]
        let prefixes = entry.description.prefixes.filter { prefix in
            prefix.hasPrefix("/") && !provided.contains { prefix == $0 || prefix.hasPrefix($0 + "/") }
        }
        let bootstrap = entry.description.bootstrap ?? (entry.family == "python" ? "bootstrap.py" : "bootstrap.mjs")
        let version = entry.family == "python" ? "Python" : "Node.js"
        return RuntimeImage(
            directory: entry.directory, interpreter: [entry.interpreter] + entry.description.arguments,
            bootstrap: bootstrap, prefixes: prefixes, version: entry.version, runtime: runtime,
            warning: isExact
                ? nil : "\(runtime) is not on this host: \(version) \(entry.version) runs the function instead")
    }

    private func missing(_ runtime: String, _ family: String) -> RuntimeUnavailable {
        let have = entries.filter { $0.family == family }.map(\.version).sorted()
        let name = family == "python" ? "Python \(runtime.dropFirst(6))" : "Node.js \(runtime.dropFirst(6))"
        let found = have.isEmpty ? "none is prepared" : "prepared here: \(have.joined(separator: ", "))"
        return RuntimeUnavailable(
            runtime: runtime,
            message: "The runtime \(runtime) needs \(name) or newer on this host (\(found)). Install it and run "
                + "`make setup`, which prepares the runtimes in \(root); `martlet doctor` shows them.")
    }

    /// The parts that name a runtime: `3.11` of Python, `20` of Node.
    private static func version(_ text: String, _ family: String) -> [Int] {
        let parts = text.split(separator: ".").map { Int($0) ?? 0 }
        let count = family == "python" ? 2 : 1
        return (parts + [0, 0]).prefix(count).map { $0 }
    }

    private static func isOlder(_ a: [Int], _ b: [Int]) -> Bool { a.lexicographicallyPrecedes(b) }

    /// For `martlet doctor` and the start banner, one line each.
    public var report: [String] {
        entries.map { "\($0.family) \($0.version): \($0.interpreter)" } + ["provided.*: any executable bootstrap"]
            + problems
    }
}
