import Platform

/// What a Host header says: an AWS endpoint name, a bucket, or nothing (an address, `localhost`).
struct HostName: Sendable, Equatable {
    /// The labels in front of the known domain, in lower case; empty for the domain itself and for foreign names.
    let labels: [String]
    /// The domain is one of ours (`localhost`, configured ones) rather than AWS's.
    let isLocal: Bool

    static let nothing = HostName(labels: [], isLocal: true)

    /// What a path names in a host's place, for clients that cannot resolve such hosts: `/_aws/lambda-url/ID/rest`; and the
    /// rest of the path. Nil for every other path.
    static func inPath(_ path: String) -> (host: HostName, rest: String)? {
        if let found = inOlderPath(path) { return found }
        guard path.utf8.starts(with: "/_aws/".utf8) else { return nil }
        let parts = path.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).dropFirst(2)
        guard let label = parts.first, dataPlanes.contains(String(label)), let second = parts.dropFirst().first else {
            return nil
        }
        // What is behind the id.
        let id = second.prefix { $0 != "/" }
        let labels = split(lowercasedASCII(String(id))[...])
        guard labels.count == 1 else { return nil }
        let head = "/_aws/".utf8.count + label.utf8.count + 1 + id.utf8.count
        let rest = String(decoding: path.utf8.dropFirst(head), as: UTF8.self)
        return (HostName(labels: labels + [String(label)], isLocal: true), rest.isEmpty ? "/" : rest)
    }

    /// `/restapis/ID/STAGE/_user_request_/rest`, which tools know from other emulators: as `/_aws/execute-api/ID/STAGE/rest`.
    private static func inOlderPath(_ path: String) -> (host: HostName, rest: String)? {
        guard path.utf8.starts(with: "/restapis/".utf8) else { return nil }
        let parts = path.split(separator: "/", maxSplits: 4, omittingEmptySubsequences: false).dropFirst(2)
        guard parts.count >= 3, parts[parts.startIndex + 2].prefix(while: { $0 != "/" }) == "_user_request_" else {
            return nil
        }
        let labels = split(lowercasedASCII(String(parts[parts.startIndex]))[...])
        guard labels.count == 1 else { return nil }
        let stage = parts[parts.startIndex + 1]
        let behind = parts[parts.startIndex + 2].drop { $0 != "/" }
        return (HostName(labels: labels + ["execute-api"], isLocal: true), "/" + stage + behind)
    }

    private init(labels: [String], isLocal: Bool) {
        self.labels = labels
        self.isLocal = isLocal
    }

    /// AWS's domains, and the names that resolve to loopback. SDKs put labels in front of an address too (access points,
    /// WriteGetObjectResponse); a cell resolves those that its function needs.
    private static let awsDomains = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".on.aws"]
    private static let localDomains = [".localhost.localstack.cloud", ".localhost", ".127.0.0.1"]
    /// DNS's limit of a name.
    private static let maximumBytes = 255

    /// `host` with or without a port. `baseDomains` are further names of this server, in lower case.
    init(_ host: String, baseDomains: [String] = []) {
        // Most requests name an address or plain localhost: nothing to find, nothing to allocate.
        guard let first = host.utf8.first, !(0x30...0x39).contains(first), first != UInt8(ascii: "["),
            host.utf8.count <= HostName.maximumBytes, !HostName.isLocalhost(host)
        else {
            // Bucket names may start with a digit; addresses have only digits, dots and a port.
            if let first = host.utf8.first, (0x30...0x39).contains(first), host.utf8.count <= HostName.maximumBytes,
                host.utf8.contains(where: { $0 >= 0x41 })
            {
                self = HostName(named: host, baseDomains: baseDomains)
            } else {
                self = .nothing
            }
            return
        }
        self = HostName(named: host, baseDomains: baseDomains)
    }

    private init(named host: String, baseDomains: [String]) {
        var name = lowercasedASCII(String(host.prefix { $0 != ":" }))
        if name.hasSuffix(".") { name.removeLast() }
        for domain in HostName.awsDomains where name.hasSuffix(domain) {
            self = HostName(labels: HostName.split(name.dropLast(domain.count)), isLocal: false)
            return
        }
        for domain in HostName.localDomains where name.hasSuffix(domain) {
            self = HostName(labels: HostName.split(name.dropLast(domain.count)), isLocal: true)
            return
        }
        for domain in baseDomains where name.hasSuffix("." + domain) {
            self = HostName(labels: HostName.split(name.dropLast(domain.utf8.count + 1)), isLocal: true)
            return
        }
        self = .nothing
    }

    private static func isLocalhost(_ host: String) -> Bool {
        host == "localhost" || host.hasPrefix("localhost:")
    }

    private static func split(_ name: Substring) -> [String] {
        let labels = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        let valid = labels.allSatisfy { label in
            !label.isEmpty
                && label.utf8.allSatisfy { byte in
                    (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2D || byte == 0x5F
                }
        }
        return valid ? labels : []
    }

    /// The Region named among the labels.
    var region: String? { labels.dropFirst().first(where: { Region.isAWSName($0) }) ?? legacyRegion }

    /// `s3-eu-west-1`.
    private var legacyRegion: String? {
        guard let index = s3Index else { return nil }
        let rest = String(labels[index].dropFirst(3))
        return Region.isAWSName(rest) ? rest : nil
    }

    /// The label that says S3, counted from the right: bucket names may contain one too.
    private var s3Index: Int? {
        labels.lastIndex { label in
            label == "s3" || (label.hasPrefix("s3-") && Region.isAWSName(String(label.dropFirst(3))))
        }
    }

    /// The endpoint prefix of a service's host name (`lambda.us-east-1.amazonaws.com` → `lambda`).
    var endpointPrefix: String? {
        if s3Index != nil || labels.contains("s3-accesspoint") || labels.contains("s3-object-lambda") { return "s3" }
        return labels.first
    }

    /// The bucket of a virtual-host style name, once the service is known to be S3.
    var bucket: String? {
        if let index = s3Index {
            return index == 0 ? nil : labels[..<index].joined(separator: ".")
        }
        return isLocal && !labels.isEmpty ? labels.joined(separator: ".") : nil
    }

    /// `abc.lambda-url.us-east-1…` → `lambda-url`: hosts that carry users' own HTTP, not an AWS API.
    /// `git-codecommit.us-east-1…` → `git-codecommit`, of which no host has a name of its own in front.
    var dataPlane: String? {
        if labels.count == 2, labels[0] == HostName.git { return HostName.git }
        guard labels.count >= 2, HostName.dataPlanes.contains(labels[1]) else { return nil }
        return labels[1]
    }

    /// The service that requests to such a host are signed for; nil where signatures are not AWS's.
    var signingName: String? { dataPlane.flatMap { HostName.signingNames[$0] } }

    private static let signingNames = ["lambda-url": "lambda", "execute-api": "execute-api"]
    private static let git = "git-codecommit"
    private static let dataPlanes: Set<String> = ["lambda-url", "execute-api", "alexa", git]
}
