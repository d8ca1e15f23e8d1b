import Platform

/// How an import uses the base path of an OpenAPI document (developer guide, "Set the OpenAPI basePath property").
enum BasePath: String, Sendable {
    case ignore, prepend, split

    /// What stands in front of all paths, `/a/b` or nothing, when `path` is the document's base path.
    func prefix(of path: String) -> String {
        var path = path[...]
        while path.hasSuffix("/") { path.removeLast() }
        guard self != .ignore, !path.isEmpty else { return "" }
        let whole = path.hasPrefix("/") ? String(path) : "/" + path
        guard self == .split else { return whole }
        // Of a path that is split, the first part is where the API is served.
        return whole.dropFirst().firstIndex(of: "/").map { String(whole[$0...]) } ?? ""
    }

    /// The base path in the `servers` of OpenAPI 3: the first variable `basePath`, whether or not a URL has it; without one,
    /// the path of the first URL, which may be relative.
    static func path(ofServers servers: Value?) -> String {
        let servers = servers?.list ?? []
        for server in servers {
            if let path = server["variables"]?["basePath"]?["default"]?.string { return path }
        }
        guard let url = servers.first?["url"]?.string else { return "" }
        let end = url.prefix { $0 != "?" && $0 != "#" }
        let path: Substring
        if let scheme = end.firstRange(of: "://") {
            path = end[scheme.upperBound...].drop { $0 != "/" }
        } else {
            path = end.hasPrefix("//") ? end.dropFirst(2).drop { $0 != "/" } : end.hasPrefix("/") ? end : ""
        }
        return String(path).replacing("{basePath}", with: "")
    }
}
