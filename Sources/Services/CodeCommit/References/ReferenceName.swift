/// Names of references.
enum ReferenceName {
    static let heads = "refs/heads/"
    static let tags = "refs/tags/"

    /// Whether it can be a branch's name, by git's rules (git-check-ref-format) and AWS's length.
    static func isBranch(_ name: String) -> Bool {
        (1...Limits.branchNameBytes).contains(name.utf8.count) && !name.hasPrefix("-") && name != "@" && name != "HEAD"
            && isWellFormed(name)
    }

    /// Whether it can be the full name of a reference that is announced: nothing that git reads as an expression, and
    /// nothing that this server keeps for itself.
    static func isReference(_ name: String) -> Bool {
        name.utf8.starts(with: "refs/".utf8) && !name.utf8.starts(with: "refs/martlet/".utf8) && isWellFormed(name)
    }

    private static func isWellFormed(_ name: String) -> Bool {
        let forbidden: Set<UInt8> = [0x20, 0x7E, 0x5E, 0x3A, 0x3F, 0x2A, 0x5B, 0x5C, 0x7F]
        guard !name.utf8.contains(where: { $0 < 0x20 || forbidden.contains($0) }), !name.contains("@{"),
            !name.contains("..")
        else { return false }
        // As git has it: a dot ends no name, but may end a part of one.
        return !name.hasSuffix(".")
            && name.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
                !part.isEmpty && !part.hasPrefix(".") && !part.hasSuffix(".lock")
            }
    }

    /// `branch` and `main` of `refs/heads/main`.
    static func parts(_ name: String) -> (type: String, short: String) {
        if let short = short(name, behind: heads) { return ("branch", short) }
        if let short = short(name, behind: tags) { return ("tag", short) }
        return ("other", name)
    }

    /// `main` of `refs/heads/main`; nil for what is no branch.
    static func branch(_ name: String) -> String? { short(name, behind: heads) }

    /// By bytes: a name may begin with an accent, which belongs to no slash.
    private static func short(_ name: String, behind prefix: String) -> String? {
        guard name.utf8.starts(with: prefix.utf8) else { return nil }
        return String(decoding: name.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
    }
}

/// A full name as git tells them apart, byte by byte: what are two spellings of one letter elsewhere are two names here.
struct FullName: Sendable, Hashable, Comparable {
    let text: String
    init(_ text: String) { self.text = text }

    static func == (a: FullName, b: FullName) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }
    static func < (a: FullName, b: FullName) -> Bool { a.text.utf8.lexicographicallyPrecedes(b.text.utf8) }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

/// One reference that has moved.
struct ReferenceChange: Sendable, Equatable {
    enum Kind: String, Sendable {
        case created = "createReference"
        case updated = "updateReference"
        case deleted = "deleteReference"
    }
    var name: String
    /// nil: it did not exist.
    var old: String?
    /// nil: it exists no more.
    var new: String?

    var kind: Kind { old == nil ? .created : new == nil ? .deleted : .updated }
    var branch: String? { ReferenceName.branch(name) }

    /// What differs between what was announced and what is there, by name.
    static func between(announced: [FullName: String], present: [FullName: String]) -> [ReferenceChange] {
        let moved = Set(announced.keys).union(present.keys).filter { announced[$0] != present[$0] }
        return moved.sorted().map { ReferenceChange(name: $0.text, old: announced[$0], new: present[$0]) }
    }
}
