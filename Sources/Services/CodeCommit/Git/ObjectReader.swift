import NIOCore
import Platform

/// An entry of a tree.
struct TreeEntry: Sendable, Equatable {
    enum Kind: Sendable { case file, folder, link, submodule }
    /// Octal, as git writes it: `100644`.
    var mode: String
    var name: String
    var id: String

    var kind: Kind {
        switch mode {
        case "40000": .folder
        case "120000": .link
        case "160000": .submodule
        default: .file
        }
    }
    var fileMode: FileMode { mode == "100755" ? .executable : kind == .link ? .link : .normal }
}

/// AWS's names of git's modes.
enum FileMode: String, Sendable {
    case executable = "EXECUTABLE"
    case normal = "NORMAL"
    case link = "SYMLINK"

    var gitMode: String {
        switch self {
        case .executable: "100755"
        case .normal: "100644"
        case .link: "120000"
        }
    }
}

/// A commit, read from git's own form of it.
struct CommitObject: Sendable, Equatable {
    struct Identity: Sendable, Equatable {
        var name = ""
        var email = ""
        /// Seconds since 1970 and the zone: `1484167798 -0800`.
        var date = ""
    }
    var id: String
    var tree = ""
    var parents: [String] = []
    var author = Identity()
    var committer = Identity()
    var message = ""

    init(id: String, bytes: [UInt8]) {
        self.id = id
        var rest = bytes[...]
        while let end = rest.firstIndex(of: 0x0A), end > rest.startIndex {
            let line = String(decoding: rest[..<end], as: UTF8.self)
            rest = rest[(end + 1)...]
            let parts = line.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, line.first != " " else { continue }
            switch parts[0] {
            case "tree": tree = String(parts[1])
            case "parent": parents.append(String(parts[1]))
            case "author": author = CommitObject.identity(parts[1])
            case "committer": committer = CommitObject.identity(parts[1])
            default: break
            }
        }
        message = String(decoding: rest.dropFirst(), as: UTF8.self)
    }

    /// `Jane Doe <jane@example.com> 1484167798 -0800`.
    private static func identity(_ text: Substring) -> Identity {
        guard let open = text.lastIndex(of: "<"), let close = text.lastIndex(of: ">"), open < close else {
            return Identity(name: String(text))
        }
        var name = text[..<open]
        if name.last == " " { name = name.dropLast() }
        return Identity(
            name: String(name), email: String(text[text.index(after: open)..<close]),
            date: String(text[text.index(after: close)...].drop { $0 == " " }))
    }
}

/// Reads objects through one `git cat-file --batch-command`: a request, an answer.
final class ObjectReader {
    struct Info: Sendable, Equatable {
        var id: String
        var type: String
        var size: Int
    }

    private let process: GitProcess
    private var buffer = ByteBuffer()

    static let arguments = ["cat-file", "--batch-command"]

    init(_ process: GitProcess) { self.process = process }

    /// What the object is; nil when there is none. `name` is an object id, perhaps with `^{commit}`.
    func info(_ name: String) async throws -> Info? {
        try await process.write(ByteBuffer(string: "info \(name)\n"))
        return try await header()
    }

    /// The bytes of an object; nil when there is none. Throws `Failure(.limit)` when there are more than `limit`.
    func contents(_ name: String, limit: Int) async throws -> (info: Info, bytes: [UInt8])? {
        guard let info = try await info(name) else { return nil }
        guard info.size <= limit else { throw Failure(.limit, "The object \(info.id) has \(info.size) bytes.") }
        try await process.write(ByteBuffer(string: "contents \(info.id)\n"))
        guard let again = try await header(), again == info else { throw broken }
        while buffer.readableBytes < info.size + 1 { try await more() }
        guard let bytes = buffer.readBytes(length: info.size), buffer.readInteger(as: UInt8.self) == 0x0A else {
            throw broken
        }
        buffer.discardReadBytes()
        return (info, bytes)
    }

    /// The commit of this id, also of a tag that points to one.
    func commit(_ id: String) async throws -> CommitObject? {
        guard ObjectID.isValid(id), let found = try await contents(id + "^{commit}", limit: Limits.commitObjectBytes)
        else { return nil }
        return CommitObject(id: found.info.id, bytes: found.bytes)
    }

    func tree(_ id: String) async throws -> [TreeEntry]? {
        guard let found = try await contents(id, limit: Limits.treeBytes), found.info.type == "tree" else { return nil }
        return ObjectReader.entries(found.bytes)
    }

    /// The entry at a path of a tree; nil when there is none.
    func entry(_ path: String, inTree root: String) async throws -> TreeEntry? {
        var entry = TreeEntry(mode: "40000", name: "", id: root)
        for name in path.split(separator: "/") {
            guard entry.kind == .folder, let entries = try await tree(entry.id),
                let next = entries.first(where: { $0.name == name })
            else { return nil }
            entry = next
        }
        return entry
    }

    /// A tree's own form: mode, space, name, NUL, twenty bytes, for each entry.
    static func entries(_ bytes: [UInt8]) -> [TreeEntry] {
        var entries: [TreeEntry] = []
        var rest = bytes[...]
        while let space = rest.firstIndex(of: 0x20), let zero = rest[space...].firstIndex(of: 0),
            rest.endIndex - zero > 20
        {
            entries.append(
                TreeEntry(
                    mode: String(decoding: rest[..<space], as: UTF8.self),
                    name: String(decoding: rest[(space + 1)..<zero], as: UTF8.self),
                    id: hexEncoded(Array(rest[(zero + 1)...(zero + 20)]))))
            rest = rest[(zero + 21)...]
        }
        return entries
    }

    // MARK: The conversation

    /// `ID TYPE SIZE`, or `NAME missing`.
    private func header() async throws -> Info? {
        while true {
            if let end = buffer.readableBytesView.firstIndex(of: 0x0A) {
                let line = buffer.readString(length: end - buffer.readerIndex) ?? ""
                buffer.moveReaderIndex(forwardBy: 1)
                let parts = line.split(separator: " ")
                guard parts.count == 3, ObjectID.isValid(String(parts[0])), let size = Int(parts[2]) else { return nil }
                return Info(id: String(parts[0]), type: String(parts[1]), size: size)
            }
            guard buffer.readableBytes < Limits.readBytes else { throw broken }
            try await more()
        }
    }

    private func more() async throws {
        guard var piece = try await process.read() else { throw broken }
        buffer.writeBuffer(&piece)
    }

    private var broken: Failure {
        Failure(.storage, "git cat-file ended early: \(process.errorText.prefix(300))")
    }
}

enum ObjectID {
    /// Forty hexadecimal digits in lower case.
    static func isValid(_ text: some StringProtocol) -> Bool {
        text.utf8.count == 40
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    static let zero = String(repeating: "0", count: 40)
    /// The tree without entries, which git knows without having it.
    static let emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
}
