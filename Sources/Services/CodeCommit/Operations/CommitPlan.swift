import Crypto
import Platform
import Wire

/// What a commit changes, as it was asked for: checked in itself, not yet against the tree.
struct CommitPlan: Sendable {
    enum Source: Sendable {
        case content([UInt8])
        /// Another file of the parent commit.
        case file(path: String)
    }
    struct Put: Sendable {
        var path: String
        var mode: FileMode
        var source: Source
    }

    var puts: [Put] = []
    var deletes: [String] = []
    var modes: [(path: String, mode: FileMode)] = []
    var keepsEmptyFolders = false

    /// Throws for paths that are named twice or stand in each other's way, and for too many or too large files.
    func check() throws(AWSError) {
        let paths = puts.map(\.path) + deletes + modes.map(\.path)
        guard !paths.isEmpty else {
            throw .code(
                "FileEntryRequiredException",
                "The commit cannot be created because no files have been specified as added, updated, or changed (PutFile "
                    + "or DeleteFile) for the commit.")
        }
        guard paths.count <= Limits.filesOfCommit else {
            throw .code(
                "MaximumFileEntriesExceededException",
                "The number of specified files to change as part of this commit exceeds the maximum number of files that "
                    + "can be changed in a single commit.")
        }
        guard Set(paths).count == paths.count else {
            throw .code(
                "SamePathRequestException",
                "The commit cannot be created because one or more changes in this commit duplicate actions in the same "
                    + "file path.")
        }
        let written = Set(puts.map(\.path))
        for path in written where CommitPlan.parents(path).contains(where: { written.contains($0) }) {
            throw .code(
                "PutFileEntryConflictException",
                "The commit cannot be created because one or more files specified in the commit reference both a file and "
                    + "a folder.")
        }
        var total = 0
        for put in puts {
            guard case .content(let bytes) = put.source else { continue }
            total += bytes.count
            guard bytes.count <= Limits.fileBytes else {
                throw .code(
                    "FileContentSizeLimitExceededException",
                    "The file cannot be added because it is too large. The maximum file size is 6 MB, and the combined "
                        + "file content change size is 7 MB.")
            }
        }
        guard total <= Limits.commitBytes else {
            throw .code(
                "FolderContentSizeLimitExceededException",
                "The commit cannot be created because at least one of the overall changes in the commit results in a "
                    + "folder whose contents exceed the limit of 6 MB.")
        }
    }

    /// `a` and `a/b` of `a/b/c`.
    static func parents(_ path: String) -> [String] {
        var parents: [String] = []
        var current = ""
        for part in path.split(separator: "/").dropLast() {
            current = current.isEmpty ? String(part) : "\(current)/\(part)"
            parents.append(current)
        }
        return parents
    }
}

/// A commit that can be made: every source is known.
struct CommitChanges: Sendable {
    enum Content: Sendable {
        case bytes([UInt8])
        case blob(String)
    }
    struct Write: Sendable {
        var path: String
        var mode: FileMode
        var content: Content
        /// What is there now.
        var old: TreeEntry?

        var blob: String {
            switch content {
            case .bytes(let bytes): CommitChanges.blobID(bytes)
            case .blob(let id): id
            }
        }
    }
    var writes: [Write] = []
    var deletes: [(path: String, old: TreeEntry)] = []

    /// As git names the content of a file.
    static func blobID(_ bytes: [UInt8]) -> String {
        var hash = Insecure.SHA1()
        hash.update(data: Array("blob \(bytes.count)\0".utf8))
        hash.update(data: bytes)
        return hexEncoded(hash.finalize())
    }
}

/// The input of `git fast-import`.
struct FastImport: Sendable {
    struct Identity: Sendable {
        var name: String
        var email: String

        /// Without what would end the name in git's form of it.
        fileprivate var text: String {
            func clean(_ text: String) -> String { text.filter { !"<>\n\r\0\r\n".contains($0) } }
            return "\(clean(name)) <\(clean(email))>"
        }
    }

    /// One commit on a reference of its own; its id is written to the output.
    static func commit(
        _ changes: CommitChanges, on reference: String, parent: String?, author: Identity, message: String, now: Instant
    ) -> [UInt8] {
        var out: [UInt8] = []
        func line(_ text: String) {
            out += text.utf8
            out.append(0x0A)
        }
        func data(_ bytes: some Collection<UInt8>) {
            line("data \(bytes.count)")
            out += bytes
            out.append(0x0A)
        }
        line("feature done")
        line("commit \(reference)")
        line("mark :1")
        line("author \(author.text) \(now.seconds) +0000")
        line("committer \(author.text) \(now.seconds) +0000")
        data(message.utf8.filter { $0 != 0 })
        if let parent { line("from \(parent)") }
        for delete in changes.deletes { line("D \(quoted(delete.path))") }
        for write in changes.writes {
            switch write.content {
            case .blob(let id): line("M \(write.mode.gitMode) \(id) \(quoted(write.path))")
            case .bytes(let bytes):
                line("M \(write.mode.gitMode) inline \(quoted(write.path))")
                data(bytes)
            }
        }
        line("")
        line("get-mark :1")
        line("done")
        return out
    }

    /// As C writes strings, so that every path can be told.
    static func quoted(_ path: String) -> String {
        var out = "\""
        for byte in path.utf8 {
            switch byte {
            case 0x22, 0x5C: out += "\\" + String(UnicodeScalar(byte))
            case 0x20...0x7E: out += String(UnicodeScalar(byte))
            default:
                let octal = String(byte, radix: 8)
                out += "\\" + String(repeating: "0", count: 3 - octal.count) + octal
            }
        }
        return out + "\""
    }
}
