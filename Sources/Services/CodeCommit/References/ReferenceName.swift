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
        name.hasPrefix("refs/") && !name.hasPrefix("refs/martlet/") && isWellFormed(name)
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
        if name.hasPrefix(heads) { return ("branch", String(name.dropFirst(heads.count))) }
        if name.hasPrefix(tags) { return ("tag", String(name.dropFirst(tags.count))) }
        return ("other", name)
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
    var branch: String? {
        name.hasPrefix(ReferenceName.heads) ? String(name.dropFirst(ReferenceName.heads.count)) : nil
    }

    /// What differs between what was announced and what is there, by name.
    static func between(announced: [String: String], present: [String: String]) -> [ReferenceChange] {
        var changes: [ReferenceChange] = []
        for (name, old) in announced where present[name] != old {
            changes.append(ReferenceChange(name: name, old: old, new: present[name]))
        }
        for (name, new) in present where announced[name] == nil {
            changes.append(ReferenceChange(name: name, old: nil, new: new))
        }
        return changes.sorted { $0.name < $1.name }
    }
}
