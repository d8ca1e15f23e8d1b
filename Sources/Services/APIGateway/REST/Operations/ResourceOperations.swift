import Contracts
import Platform
import Storage
import Wire

/// The tree of an API's paths.
struct ResourceOperations: Sendable {
    let editor: RESTEditor

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let parent = request.input["parentId"]?.string ?? ""
        let part = request.input["pathPart"]?.string ?? ""
        let made = try await editor.edit(request, otherwise: RESTError.noResource) { api, transaction in
            let tree = try ResourceTree(api: api.id, in: transaction)
            return try tree.insert(part, below: parent, in: transaction)
        }
        return OperationResponse(Self.shape(made, embedsMethods: false))
    }

    /// Methods by name alone unless they are asked for (`embed=methods`).
    static func shape(_ resource: Value, embedsMethods: Bool) -> Value {
        guard !embedsMethods, let methods = resource["resourceMethods"]?.fields else { return resource }
        var output = resource
        output["resourceMethods"] = .map(Fields(methods.names.map { ($0, [:]) }))
        return output
    }

    private static func embedsMethods(_ input: Value) -> Bool {
        input["embed"]?.list?.contains { $0.string == "methods" } ?? false
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["resourceId"]?.string ?? ""
        let found = try await editor.read(request, otherwise: RESTError.noResource) { api, transaction in
            try Self.require(id, api: api.id, in: transaction)
        }
        return OperationResponse(Self.shape(found, embedsMethods: Self.embedsMethods(request.input)))
    }

    static func require(_ id: String, api: String, in transaction: any ReadTransaction) throws -> Value {
        guard let found = try Item.find(.resource, id, api: api, in: transaction) else { throw RESTError.noResource }
        return found
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let (paging, embeds) = (try RESTPaging(request.input), Self.embedsMethods(request.input))
        let rows = try await editor.read(request) { api, transaction in
            try Item.list(.resource, api: api.id, after: paging.after, limit: paging.limit + 1, in: transaction)
        }
        return OperationResponse(
            paging.page(rows.map { ($0.id, Self.shape($0.document, embedsMethods: embeds)) }))
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["resourceId"]?.string ?? ""
        try await editor.edit(request, otherwise: RESTError.noResource) { api, transaction in
            let resource = try Self.require(id, api: api.id, in: transaction)
            guard resource["parentId"] != nil else { throw RESTError.bad("Root resource cannot be deleted.") }
            let tree = try ResourceTree(api: api.id, in: transaction)
            for gone in tree.subtree(of: id) { try Item.delete(.resource, gone, api: api.id, in: transaction) }
        }
        return OperationResponse()
    }

    /// Both are only read here; the tree checks and moves.
    private static let patches = PatchTable(style: .listing, rules: [.text("parentId"), .text("pathPart")])

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["resourceId"]?.string ?? ""
        let operations = try PatchOperation.read(request.input)
        let made = try await editor.edit(request, otherwise: RESTError.noResource) { api, transaction in
            let before = try Self.require(id, api: api.id, in: transaction)
            var after = before
            try Self.patches.apply(operations, to: &after)
            guard after != before else { return before }
            guard let parent = before["parentId"] else {
                let name = after["pathPart"] == nil ? "parentId" : "pathPart"
                throw RESTError.bad("Root resource cannot update its \(name).")
            }
            let tree = try ResourceTree(api: api.id, in: transaction)
            return try tree.move(
                id, to: after["parentId"]?.string ?? parent.string ?? "", as: after["pathPart"]?.string ?? "",
                in: transaction)
        }
        return OperationResponse(Self.shape(made, embedsMethods: false))
    }
}

/// All resources of an API, to check what a change would make of them.
struct ResourceTree {
    let api: String
    private var resources: [String: Value] = [:]

    init(api: String, in transaction: any ReadTransaction) throws {
        self.api = api
        for item in try Item.list(.resource, api: api, in: transaction) { resources[item.id] = item.document }
    }

    /// The resource and everything below it.
    func subtree(of id: String) -> [String] {
        var found = [id]
        var index = 0
        while index < found.count {
            let parent = found[index]
            found += resources.filter { $0.value["parentId"]?.string == parent }.map(\.key)
            index += 1
        }
        return found
    }

    private func path(of id: String) -> String { resources[id]?["path"]?.string ?? "/" }

    static func join(_ parent: String, _ part: String) -> String { (parent == "/" ? "" : parent) + "/" + part }

    func insert(_ part: String, below parent: String, in transaction: any WriteTransaction) throws -> Value {
        guard resources[parent] != nil else { throw RESTError.noResource }
        guard resources.count < RESTLimits.resources else { throw RESTError.tooMany("resources") }
        try check(part, below: parent, except: nil)
        let id = ResourceID.deployment()
        let document: Value = [
            "id": .string(id), "parentId": .string(parent), "pathPart": .string(part),
            "path": .string(Self.join(path(of: parent), part)),
        ]
        try Item.put(.resource, id, document, api: api, in: transaction)
        return document
    }

    func move(_ id: String, to parent: String, as part: String, in transaction: any WriteTransaction) throws -> Value {
        guard resources[parent] != nil else { throw RESTError.noResource }
        let moved = subtree(of: id)
        guard !moved.contains(parent) else { throw RESTError.bad("Resources cannot be cyclical.") }
        try check(part, below: parent, except: id)
        var tree = self
        tree.resources[id]?["parentId"] = .string(parent)
        tree.resources[id]?["pathPart"] = .string(part)
        // Parents come before their children.
        for one in moved {
            guard let above = tree.resources[one]?["parentId"]?.string else { continue }
            let part = tree.resources[one]?["pathPart"]?.string ?? ""
            let path = Self.join(tree.path(of: above), part)
            guard path.utf8.count(where: { $0 == UInt8(ascii: "/") }) <= RESTLimits.depth else {
                throw RESTError.bad("Resources are nested too deeply")
            }
            tree.resources[one]?["path"] = .string(path)
            if let document = tree.resources[one] {
                try Item.put(.resource, one, document, api: api, in: transaction)
            }
        }
        return tree.resources[id] ?? [:]
    }

    /// Whether a resource may have this name there.
    private func check(_ part: String, below parent: String, except id: String?) throws(AWSError) {
        guard !part.isEmpty, part.utf8.count <= RESTLimits.pathPart,
            let pattern = RouteTree<RESTMethod>.Pattern("/" + part), pattern.segments.count == 1,
            Self.isPathPart(part, pattern)
        else {
            throw RESTError.bad(
                "Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the "
                    + "beginning and the end.")
        }
        let above = resources[parent]?["pathPart"]?.string ?? ""
        guard !above.hasSuffix("+}") else {
            throw RESTError.bad("Cannot create a child of a resource with a greedy path variable: \(above)")
        }
        // One that has children cannot become what may have none.
        if let id, part.hasSuffix("+}"), subtree(of: id).count > 1 {
            throw RESTError.bad("Cannot create a child of a resource with a greedy path variable: \(part)")
        }
        guard path(of: parent).utf8.count(where: { $0 == UInt8(ascii: "/") }) < RESTLimits.depth else {
            throw RESTError.bad("Resources are nested too deeply")
        }
        for (other, document) in resources where other != id && document["parentId"]?.string == parent {
            let name = document["pathPart"]?.string ?? ""
            guard name != part else {
                throw RESTError.conflict("Another resource with the same parent already has this name: \(part)")
            }
            if name.hasPrefix("{"), part.hasPrefix("{"),
                name.hasSuffix("+}") == part.hasSuffix("+}") || parentIsRoot(parent)
            {
                throw RESTError.bad(
                    "A sibling (\(name)) of this resource already has a variable path part -- only one is allowed")
            }
        }
    }

    /// Recorded: `{proxy+}` and `{child}` may stand side by side, but not right below the root.
    private func parentIsRoot(_ parent: String) -> Bool { resources[parent]?["parentId"] == nil }

    private static func isPathPart(_ part: String, _ pattern: RouteTree<RESTMethod>.Pattern) -> Bool {
        guard case .literal = pattern.segments[0] else { return true }
        return part.utf8.allSatisfy { byte in
            PercentEncoding.isUnreserved(byte) || "!$&'()*+,;=:@%".utf8.contains(byte)
        }
    }
}
