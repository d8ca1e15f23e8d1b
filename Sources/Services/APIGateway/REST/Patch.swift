import Platform
import Wire

/// One operation of an Update request: `op`, `path` in segments (with `~1` for a slash in one), `value`.
struct PatchOperation: Sendable {
    enum Verb: String, Sendable {
        case add, remove, replace, move, copy, test
    }

    var verb: Verb
    /// As given, for error texts.
    var path: String
    var segments: [String]
    var value: String?

    /// The operations of an input. Throws BadRequestException with the text of `noPath` for one without a path.
    static func read(_ input: Value, noPath: String = "Invalid patch path null") throws(AWSError) -> [PatchOperation] {
        let list = input["patchOperations"]?.list ?? []
        guard list.count <= RESTLimits.patches else { throw RESTError.bad("Too many patch operations") }
        var operations: [PatchOperation] = []
        for item in list {
            guard let path = item["path"]?.string else { throw RESTError.bad(noPath) }
            guard let verb = item["op"]?.string.flatMap({ Verb(rawValue: $0) }) else {
                throw RESTError.bad("Patch operation is required")
            }
            // What `copy` is for: "the only supported one is promoting a canary" (PatchOperation).
            if item["from"]?.string?.hasPrefix("/canarySettings") == true {
                throw RESTError.missing("A canary release")
            }
            let segments = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map {
                String($0).replacing("~1", with: "/").replacing("~0", with: "~")
            }
            operations.append(
                PatchOperation(
                    verb: verb, path: path, segments: path.hasPrefix("/") ? segments : [], value: item["value"]?.string)
            )
        }
        return operations
    }

    /// The value as a number.
    var number: Int64? { value.flatMap { Int64($0) } }
    /// Everything but `true` is false (recorded: `wrong-value-type`).
    var truth: Bool { value.map { lowercased($0) == "true" } ?? false }
}

/// What a patch may change, and how: a table for each kind of document.
struct PatchTable: Sendable {
    typealias Change = @Sendable (inout Value, PatchOperation) throws -> Void

    struct Rule: Sendable {
        /// `*` stands for any one segment.
        var pattern: [String]
        var verbs: Set<PatchOperation.Verb>
        var change: Change

        func fits(_ segments: [String]) -> Bool {
            segments.count == pattern.count && zip(pattern, segments).allSatisfy { $0 == "*" || $0 == $1 }
        }

        static func custom(_ path: String, _ verbs: Set<PatchOperation.Verb>, _ change: @escaping Change) -> Rule {
            Rule(pattern: path.split(separator: "/").map(String.init), verbs: verbs, change: change)
        }

        static func text(_ name: String, _ verbs: Set<PatchOperation.Verb> = [.replace]) -> Rule {
            custom("/" + name, verbs) { document, patch in
                let value = patch.verb == .remove ? nil : patch.value
                document[name] = value.flatMap { $0.isEmpty ? nil : .string($0) }
            }
        }

        /// What is not there, said by its name.
        static func missing(
            _ path: String, _ what: String, _ verbs: Set<PatchOperation.Verb> = [.add, .remove, .replace]
        )
            -> Rule
        {
            custom(path, verbs) { _, _ in throw RESTError.missing(what) }
        }

        static func truth(_ name: String) -> Rule {
            custom("/" + name, [.replace]) { document, patch in document[name] = .bool(patch.truth) }
        }

        static func number(_ name: String, _ range: ClosedRange<Int64>) -> Rule {
            custom("/" + name, [.replace]) { document, patch in
                guard let number = patch.number, range.contains(number) else {
                    throw RESTError.bad("Invalid value for \(name)")
                }
                document[name] = .int(number)
            }
        }

        /// `/name/key`: entries of a map, which is gone when it is empty.
        static func entries(
            _ name: String, _ verbs: Set<PatchOperation.Verb> = [.add, .remove, .replace],
            _ read: @escaping @Sendable (PatchOperation) throws -> Value = { .string($0.value ?? "") }
        ) -> Rule {
            custom("/\(name)/*", verbs) { document, patch in
                var map = document[name]?.fields ?? Fields()
                map[patch.segments[1]] = patch.verb == .remove ? nil : try read(patch)
                guard map.count <= RESTLimits.entries else { throw RESTError.bad("Too many entries in \(name)") }
                document[name] = map.isEmpty ? nil : .map(map)
            }
        }

        /// `/name/element`: elements of a list, which is gone when it is empty.
        static func elements(_ name: String) -> Rule {
            custom("/\(name)/*", [.add, .remove, .replace]) { document, patch in
                var list = document[name]?.list?.compactMap(\.string) ?? []
                let element = patch.segments[1]
                switch patch.verb {
                case .remove: list.removeAll { $0 == element }
                case .replace:
                    list.removeAll { $0 == element }
                    if let value = patch.value, !list.contains(value) { list.append(value) }
                default: if !list.contains(element) { list.append(element) }
                }
                guard list.count <= RESTLimits.entries else { throw RESTError.bad("Too many elements in \(name)") }
                document[name] = list.isEmpty ? nil : .strings(list)
            }
        }
    }

    /// The two ways in which AWS refuses (recorded).
    enum Style: Sendable {
        /// `Invalid patch path  '/x' specified for op 'replace'. Must be one of: [/a, /b]`
        case listing
        /// `Invalid patch path /x`; `Invalid patch operation specified. Must be one of: [replace]`
        case plain
    }

    var style: Style
    var rules: [Rule]

    func apply(_ operations: [PatchOperation], to document: inout Value) throws {
        for patch in operations {
            let known = rules.filter { $0.fits(patch.segments) }
            if let rule = known.first(where: { $0.verbs.contains(patch.verb) }) {
                try rule.change(&document, patch)
            } else {
                throw refusal(patch, known)
            }
        }
    }

    private func refusal(_ patch: PatchOperation, _ known: [Rule]) -> AWSError {
        switch style {
        case .listing:
            let start = "Invalid patch path  '\(patch.path)' specified for op '\(patch.verb.rawValue)'. "
            let allowed = rules.filter { $0.verbs.contains(patch.verb) }.map { "/" + $0.pattern.joined(separator: "/") }
            return RESTError.bad(
                start
                    + (allowed.isEmpty
                        ? "Please choose supported operations" : "Must be one of: [\(allowed.joined(separator: ", "))]")
            )
        case .plain:
            guard !known.isEmpty else { return RESTError.bad("Invalid patch path \(patch.path)") }
            let verbs = Set(known.flatMap(\.verbs).map(\.rawValue)).sorted()
            return RESTError.bad(
                "Invalid patch operation specified. Must be one of: [\(verbs.joined(separator: ", "))]")
        }
    }
}
