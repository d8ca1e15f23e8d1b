import Wire

/// What the front door must know of a service to find it; positions in the table name it.
struct ServiceKey: Sendable {
    var id: String
    var signingName: String
    var endpointPrefix: String
    var apiVersion: String
    /// Without the dot; empty for protocols without.
    var targetPrefix: String
    var speaksQuery: Bool
    /// Second segments of its dated paths (`functions`, `layers`, …).
    var datedRoots: [String]
    /// Query operations that need neither a signature nor a Version: links in messages (`?Action=ConfirmSubscription&…`).
    var openActions: Set<String>

    init(
        id: String, signingName: String, endpointPrefix: String, apiVersion: String, targetPrefix: String,
        speaksQuery: Bool, datedRoots: [String] = [], openActions: Set<String> = []
    ) {
        self.id = id
        self.signingName = signingName
        self.endpointPrefix = endpointPrefix
        self.apiVersion = apiVersion
        self.targetPrefix = targetPrefix
        self.speaksQuery = speaksQuery
        self.datedRoots = datedRoots
        self.openActions = openActions
    }

    init(_ schema: ServiceSchema, openActions: Set<String> = []) {
        self.init(
            id: schema.id, signingName: schema.signingName, endpointPrefix: schema.endpointPrefix,
            apiVersion: schema.apiVersion, targetPrefix: schema.targetPrefix,
            speaksQuery: schema.protocols.contains(.query), datedRoots: schema.datedRoots,
            openActions: openActions)
    }
}

/// Finds the service that a request is for. The order (lambda-semantics 9.1): hosts that are no AWS API, credential scope,
/// X-Amz-Target, host name, CBOR path, Action and Version, dated REST paths; S3 takes what is left.
struct ServiceTable: Sendable {
    enum Resolution: Sendable, Equatable {
        case service(Int)
        /// `lambda-url` or `execute-api`: users' HTTP.
        case dataPlane(String)
        /// The form body's Action and Version must be seen first.
        case formBody
        /// A service that this server does not have.
        case unknown(String)
    }

    let keys: [ServiceKey]
    let s3: Int?
    /// SQS: unsigned query requests go to a queue's own URL.
    let queues: Int?
    private var bySigningName: [String: [Int]] = [:]
    private var byTarget: [String: Int] = [:]
    private var byEndpoint: [String: Int] = [:]
    private var byVersion: [String: [Int]] = [:]
    private var byOpenAction: [String: Int] = [:]
    private var byDatedRoot: [String: Int] = [:]

    init(_ keys: [ServiceKey]) {
        self.keys = keys
        s3 = keys.firstIndex { $0.id == "s3" }
        queues = keys.firstIndex { $0.id == "sqs" && $0.speaksQuery }
        for (index, key) in keys.enumerated() {
            bySigningName[key.signingName, default: []].append(index)
            if !key.targetPrefix.isEmpty { byTarget[key.targetPrefix] = index }
            byEndpoint[key.endpointPrefix] = index
            if byEndpoint[key.id] == nil { byEndpoint[key.id] = index }
            if key.speaksQuery { byVersion[key.apiVersion, default: []].append(index) }
            for action in key.openActions { byOpenAction[action] = index }
            for root in key.datedRoots { byDatedRoot[root] = index }
        }
    }

    /// `scope` is the credential scope's service name, when there is one.
    func resolve(_ head: RequestHead, host: HostName, scope: String?) -> Resolution {
        // Before the scope: a signed call of a function URL has the scope of Lambda's own API.
        if let dataPlane = host.dataPlane { return .dataPlane(dataPlane) }
        let target = head.header("x-amz-target")
        if let scope {
            guard let candidates = bySigningName[scope] ?? byEndpoint[scope].map({ [$0] }) else {
                return .unknown(scope)
            }
            return .service(pick(candidates, target: target, head: head))
        }
        if let target {
            let prefix = ServiceTable.targetPrefix(target)
            return byTarget[prefix].map(Resolution.service) ?? .unknown(prefix)
        }
        if let prefix = host.endpointPrefix {
            if let index = byEndpoint[prefix] {
                let others = bySigningName[prefix] ?? []
                return .service(others.contains(index) ? pick(others, target: nil, head: head) : index)
            }
            if !host.isLocal { return .unknown(prefix) }
        }
        let path = head.path
        if path.hasPrefix("/service/"), let index = cborService(path) { return .service(index) }
        if path == "/" || path.isEmpty {
            if let version = ServiceTable.parameter("Version", in: head.query) {
                return query(version: version, action: ServiceTable.parameter("Action", in: head.query))
            }
            if !byOpenAction.isEmpty, let action = ServiceTable.parameter("Action", in: head.query),
                let index = byOpenAction[action]
            {
                return .service(index)
            }
            if head.method == "POST", isForm(head) { return .formBody }
        }
        if let index = datedService(path) { return .service(index) }
        if let queues, ServiceTable.isQueuePath(path) {
            if ServiceTable.parameter("Action", in: head.query) != nil { return .service(queues) }
            if head.method == "POST", isForm(head) { return .service(queues) }
        }
        return s3.map(Resolution.service) ?? .unknown("s3")
    }

    /// The service of an unsigned query request, by its form body.
    func resolve(form: String) -> Resolution {
        guard let version = ServiceTable.parameter("Version", in: form) else {
            return .unknown(ServiceTable.parameter("Action", in: form) ?? "query")
        }
        return query(version: version, action: ServiceTable.parameter("Action", in: form))
    }

    private func query(version: String, action: String?) -> Resolution {
        guard let index = byVersion[version]?.first else { return .unknown("version \(version)") }
        return .service(index)
    }

    private func pick(_ candidates: [Int], target: String?, head: RequestHead) -> Int {
        guard candidates.count > 1 else { return candidates[0] }
        if let target, let index = byTarget[ServiceTable.targetPrefix(target)], candidates.contains(index) {
            return index
        }
        if let index = datedService(head.path) ?? cborService(head.path), candidates.contains(index) { return index }
        // Two versions of API Gateway share a name; the paths of the second begin with its number.
        let isSecond = head.path.utf8.starts(with: "/v2/".utf8)
        return candidates.first { keys[$0].id.hasSuffix("v2") == isSecond } ?? candidates[0]
    }

    private func isForm(_ head: RequestHead) -> Bool {
        head.header("content-type")?.lowercased().hasPrefix("application/x-www-form-urlencoded") == true
    }

    /// `/service/GraniteServiceVersion20100801/operation/PutMetricData` (Smithy RPC v2).
    private func cborService(_ path: String) -> Int? {
        let segments = path.split(separator: "/", maxSplits: 4)
        guard segments.count == 4, segments[0] == "service", segments[2] == "operation" else { return nil }
        return byTarget[String(segments[1])] ?? byEndpoint[String(segments[1])]
    }

    /// `/2015-03-31/functions/…`; also an unknown date in front of a known root, so that an operation that is newer than
    /// the model is refused by its service and not taken for a bucket.
    private func datedService(_ path: String) -> Int? {
        guard path.utf8.starts(with: "/20".utf8) else { return nil }
        let segments = path.split(separator: "/", maxSplits: 2)
        guard segments.count >= 2, ServiceTable.isDate(segments[0]) else { return nil }
        return byDatedRoot[String(segments[1])]
    }

    /// `/123456789012/name`: no bucket's name is twelve digits in practice, and the request names an action.
    static func isQueuePath(_ path: String) -> Bool {
        let segments = path.split(separator: "/")
        return segments.count == 2 && segments[0].utf8.count == 12
            && segments[0].utf8.allSatisfy { (0x30...0x39).contains($0) }
    }

    /// `20dd-dd-dd`.
    static func isDate(_ segment: Substring) -> Bool {
        let bytes = Array(segment.utf8.prefix(11))
        guard bytes.count == 10, bytes[0] == UInt8(ascii: "2"), bytes[1] == UInt8(ascii: "0") else { return false }
        return bytes.enumerated().allSatisfy { index, byte in
            index == 4 || index == 7 ? byte == UInt8(ascii: "-") : (0x30...0x39).contains(byte)
        }
    }

    static func targetPrefix(_ target: String) -> String {
        guard let dot = target.lastIndex(of: ".") else { return target }
        return String(target[..<dot])
    }

    /// The first plain value of a form or query parameter; values that need decoding (no name or version does) are
    /// given as they are.
    static func parameter(_ name: String, in form: String) -> String? {
        for pair in form.split(separator: "&") where pair.utf8.starts(with: name.utf8) {
            let rest = pair.dropFirst(name.count)
            if rest.first == "=" { return String(rest.dropFirst()) }
        }
        return nil
    }
}
