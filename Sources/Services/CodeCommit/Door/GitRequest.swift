import Contracts
import Platform

/// What a request asks of a repository: smart HTTP (gitprotocol-http), and nothing of the dumb kind.
struct GitRequest: Sendable, Equatable {
    enum Service: String, Sendable {
        case fetch = "upload-pack"
        case push = "receive-pack"

        /// The permission.
        var action: String { self == .fetch ? "GitPull" : "GitPush" }
    }
    enum Step: Sendable, Equatable {
        case references
        case exchange
    }

    enum Refusal: Error, Equatable {
        case notFound
        case badMethod
        case badType
        /// `info/refs` without a service is a client without smart HTTP.
        case dumbClient
    }

    var repository: String
    var service: Service
    var step: Step

    static let prefix = "/v1/repos/"

    init(method: String, path: String, query: String, contentType: String?) throws(Refusal) {
        guard path.hasPrefix(GitRequest.prefix) else { throw .notFound }
        let parts = path.dropFirst(GitRequest.prefix.count).split(separator: "/", omittingEmptySubsequences: false)
        guard let name = parts.first, RepositoryName.isValid(name) else { throw .notFound }
        repository = String(name)
        switch parts.dropFirst().joined(separator: "/") {
        case "info/refs":
            guard method == "GET" else { throw .badMethod }
            let parameter = query.split(separator: "&").first { $0.hasPrefix("service=git-") }
            guard let parameter else { throw .dumbClient }
            guard let service = Service(rawValue: String(parameter.dropFirst("service=git-".count))) else {
                throw .notFound
            }
            (self.service, step) = (service, .references)
        case "git-upload-pack": (service, step) = (.fetch, .exchange)
        case "git-receive-pack": (service, step) = (.push, .exchange)
        default: throw .notFound
        }
        guard step == .exchange else { return }
        guard method == "POST" else { throw .badMethod }
        // No web page can send this type to another site without being asked first.
        guard contentType == "application/x-git-\(service.rawValue)-request" else { throw .badType }
    }
}

enum RepositoryName {
    /// Letters, digits, `.`, `_` and `-`, at most 100 of them, and not ending in `.git`.
    static func isValid(_ name: some StringProtocol) -> Bool {
        (1...Limits.repositoryNameCharacters).contains(name.utf8.count) && !name.hasSuffix(".git")
            && name.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
                default: false
                }
            }
    }
}
