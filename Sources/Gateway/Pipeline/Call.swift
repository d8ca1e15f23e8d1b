import Contracts
import NIOCore
import Platform
import Synchronization
import Wire

/// A service with what the front door derives from it once.
final class ServiceEntry: Sendable {
    let definition: ServiceDefinition
    let style: ErrorStyle
    let isS3: Bool
    /// Requests whose operation could not be found.
    let unmatched: GatewayMetrics.Series
    private let metrics: GatewayMetrics
    private let operations = AtomicLazyReference<OperationEntries>()
    private let making = Mutex(())

    init(_ definition: ServiceDefinition, metrics: GatewayMetrics) {
        let schema = definition.schema
        self.definition = definition
        self.metrics = metrics
        isS3 = schema.id == "s3"
        style =
            switch schema.protocols.first {
            case _ where schema.id == "s3": .s3
            case .query, .restXML: .query
            case .restJSON: .rest
            case .json10, .json11, .cbor, .cbor11, nil: .json
            }
        unmatched = metrics.series(service: schema.id, operation: "")
    }

    /// Nil for a name that is not in the model.
    func operation(_ name: String) -> OperationEntry? {
        if let entries = operations.load() { return entries.byName[name] }
        // One at a time: each makes its series known to the metrics.
        return making.withLock { _ in
            operations.load() ?? operations.storeIfNil(OperationEntries(definition, metrics: metrics))
        }.byName[name]
    }

    /// The protocol to answer in when the operation is not known.
    func fallbackProtocol(_ head: RequestHead) -> AWSProtocol {
        let spoken = definition.schema.protocols
        let guess = Call.guessProtocol(head)
        return guess.flatMap { spoken.contains($0) ? $0 : nil } ?? spoken.first ?? guess ?? .restJSON
    }
}

/// The operations of a service, made when the first of them is asked for.
private final class OperationEntries: Sendable {
    let byName: [String: OperationEntry]

    init(_ definition: ServiceDefinition, metrics: GatewayMetrics) {
        let schema = definition.schema
        var entries: [String: OperationEntry] = [:]
        for name in schema.operations.keys {
            entries[name] = OperationEntry(
                handler: definition.operations[name],
                bodyLimit: definition.bodyLimits[name] ?? definition.bodyLimit,
                series: metrics.series(service: schema.id, operation: name))
        }
        byName = entries
    }
}

struct OperationEntry: Sendable {
    /// Nil when the operation is in the model but not implemented.
    var handler: OperationHandler?
    var bodyLimit: Int
    var series: GatewayMetrics.Series
}

/// One request on its way through the pipeline: each step fills in what it found.
struct Call: Sendable {
    let exchange: HTTPExchange
    let requestID: String
    let host: HostName
    /// As the codecs see it: a virtual-host bucket moved into the path.
    var head: RequestHead
    var entry: ServiceEntry?
    var signed: SignedRequest?
    var identity: Identity?
    var match: OperationMatch?
    var operation: OperationEntry?
    var integrity = BodyIntegrity.unsigned
    var key: SigningKey?
    /// For the service to judge.
    var foreignPage: String?

    init(_ exchange: HTTPExchange, requestID: String, host: HostName) {
        self.exchange = exchange
        self.requestID = requestID
        self.host = host
        head = exchange.request.head
    }

    /// The request head as it was signed.
    var originalHead: RequestHead { exchange.request.head }
    var style: ErrorStyle { entry?.style ?? .json }
    var isChunkedBody: Bool {
        switch integrity {
        case .signedChunks, .unsignedChunks: true
        case .unsigned, .digest: false
        }
    }

    /// `http://localhost:4566`, as the caller named this server.
    var endpoint: String {
        let scheme = exchange.info.isSecure ? "https://" : "http://"
        guard let host = exchange.request.host, Call.isAuthority(host) else {
            return scheme + exchange.info.localAuthority
        }
        return scheme + host
    }

    /// Only what can be a host and port gets into URLs of answers.
    private static func isAuthority(_ host: String) -> Bool {
        !host.isEmpty && host.utf8.count <= 262
            && host.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x3A, 0x5B, 0x5D, 0x5F: true
                default: false
                }
            }
    }

    func context(service: String, operation: String, isTransportTrusted: Bool) -> OperationContext {
        var context = OperationContext(
            requestID: requestID, service: service, operation: operation,
            scope: identity?.scope
                ?? AccountRegion(account: AccountRegion.defaultAccount, region: AccountRegion.defaultRegion),
            principal: identity?.principal ?? .anonymous, now: exchange.receivedAt, endpoint: endpoint,
            sourceIP: exchange.info.sourceIP, headers: head.headers, uri: exchange.request.uri,
            eventLoop: exchange.eventLoop, closed: exchange.closed)
        context.foreignPage = foreignPage
        context.isTransportTrusted = isTransportTrusted
        context.sessionTags = identity?.sessionTags ?? []
        if let signed, let identity, identity.principal != .anonymous {
            context.signature = RequestSignature(
                version: signed.isVersion2 ? .two : .four, isPresigned: signed.isPresigned, signedAt: signed.signedAt)
        }
        return context
    }

    /// What the head alone says of the protocol.
    static func guessProtocol(_ head: RequestHead) -> AWSProtocol? {
        if head.header("smithy-protocol")?.lowercased() == "rpc-v2-cbor" { return .cbor }
        let type = head.header("content-type")?.lowercased() ?? ""
        if head.header("x-amz-target") != nil { return type.hasSuffix("1.0") ? .json10 : .json11 }
        if type.hasPrefix("application/x-www-form-urlencoded") { return .query }
        return nil
    }
}

/// The ids that requests get.
enum RequestIdentifiers {
    /// Sixteen upper-case hexadecimal digits, as S3's.
    static func s3() -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        let word = UInt64.random(in: .min ... .max)
        return String(unsafeUninitializedCapacity: 16) { out in
            for index in 0..<16 { out[index] = digits[Int((word >> UInt64(index * 4)) & 15)] }
            return 16
        }
    }
}
