public import Platform
import Synchronization

/// The protocols that AWS services speak. Chosen per request, not per service: SQS speaks query and JSON.
public enum AWSProtocol: String, Sendable, CaseIterable {
    case restJSON, restXML, json10, json11, query, cbor
    /// The JSON protocol with bodies in CBOR (`application/x-amz-cbor-1.1`), as Java's SDKs speak it to Kinesis: times are
    /// milliseconds.
    case cbor11

    var isREST: Bool { self == .restJSON || self == .restXML }
    var isJSON: Bool { self == .json10 || self == .json11 }
}

/// A service's model, parsed once from the generated schema text (`Tools/apigen`).
///
/// The header is read at once; operations when the service is first asked for one; shapes when an operation first needs
/// them. A start pays for nothing that nobody uses.
public final class ServiceSchema: Sendable {
    /// Service id in lower case as the folder knows it, e.g. `lambda`, `s3`, `logs`, `iam`, `sts`.
    public let id: String
    /// The credential scope's service name, e.g. `lambda`.
    public let signingName: String
    /// First label of AWS's host names, e.g. `lambda`, `s3`, `logs`.
    public let endpointPrefix: String
    public let apiVersion: String
    public let protocols: [AWSProtocol]
    /// `X-Amz-Target` is this, a dot, the operation; empty for protocols without.
    public let targetPrefix: String
    public let xmlNamespace: String
    /// Second segments of the dated paths of its operations: `functions` of `/2015-03-31/functions/…`.
    public let datedRoots: [String]
    /// Error code of violated constraints, e.g. `ValidationException`, logs' `InvalidParameterException`.
    public let validationErrorCode: String
    /// The JSON protocol answers with `x-amzn-query-error` to clients that ask for it.
    public let isQueryCompatible: Bool

    /// Before the code in `__type`, e.g. SQS's `com.amazonaws.sqs#`.
    let errorNamespace: String
    /// S3: `<Error>` without `<ErrorResponse>` around it.
    let hasBareErrors: Bool
    /// S3: only required members are checked, the service checks the rest in its own words.
    let checksOnlyRequired: Bool
    private let source: String
    private let readBody = AtomicLazyReference<Body>()
    /// Error shapes by code where the code is not the shape's name; made when first asked for.
    private let errorShapes = Mutex<[String: String]?>(nil)

    /// Everything below the header.
    private final class Body: Sendable {
        let text: SchemaText
        let shapes: ShapeTable
        let operations: [String: OperationSchema]
        let router: Router
        /// Lines of operations that cannot be understood.
        let complaints: [String]

        init(_ source: String, isRouted: Bool) {
            let text = SchemaText(source)
            let shapes = ShapeTable(text)
            var operations: [OperationSchema] = []
            var complaints: [String] = []
            for line in text.operationLines {
                text.words(line) { words in
                    _ = words.next()
                    let line = words
                    if let operation = OperationSchema(&words, shapes: shapes) {
                        operations.append(operation)
                    } else {
                        var line = line
                        complaints.append("malformed operation line: \(line.rest())")
                    }
                }
            }
            self.text = text
            self.shapes = shapes
            self.operations = Dictionary(operations.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
            self.complaints = complaints
            router = Router(isRouted ? operations : [])
        }
    }

    /// Reads the header of the generated text. Throws `Failure(.bug)` when it is malformed: the text is ours.
    public init(text source: String) throws {
        let head = try SchemaText.header(source)
        guard let id = head["service"], let protocols = head["protocols"] else {
            throw Failure(.bug, "A schema text needs the lines service and protocols")
        }
        self.id = id
        self.protocols = try protocols.split(separator: ",").map { name in
            guard let found = AWSProtocol(rawValue: String(name)) else {
                throw Failure(.bug, "Unknown protocol \(name) in the schema of \(id)")
            }
            return found
        }
        signingName = head["signing"] ?? id
        endpointPrefix = head["prefix"] ?? id
        apiVersion = head["version"] ?? ""
        targetPrefix = head["target"] ?? ""
        xmlNamespace = head["namespace"] ?? ""
        datedRoots = head["roots"]?.split(separator: ",").map(String.init) ?? []
        validationErrorCode = head["validation"] ?? "ValidationException"
        errorNamespace = head["errornamespace"] ?? ""
        hasBareErrors = head["bareerrors"] != nil
        checksOnlyRequired = head["constraints"] == "required"
        isQueryCompatible = head["querycompatible"] != nil
        self.source = source
    }

    private var body: Body {
        readBody.load() ?? readBody.storeIfNil(Body(source, isRouted: protocols.contains { $0.isREST }))
    }

    public var operations: [String: OperationSchema] { body.operations }
    var shapes: ShapeTable { body.shapes }
    var router: Router { body.router }

    /// The modelled structure of an error code, nil when the model has none.
    func errorShape(_ code: String) -> ShapeSchema? {
        if let shape = shapes.shape(code), shape.traits.errorCode == code { return shape }
        let name = errorShapes.withLock { known -> String? in
            if let known { return known[code] }
            var found: [String: String] = [:]
            let text = body.text
            for name in text.shapeNames {
                guard let lines = text.lines(ofShape: name) else { continue }
                let errorCode = text.words(lines.head) { words -> String? in
                    while let (key, value) = words.attribute(), key != "pattern", key != "enum" {
                        if key == "error" { return value }
                    }
                    return nil
                }
                if let errorCode { found[errorCode] = name }
            }
            known = found
            return found[code]
        }
        return name.flatMap { shapes.shape($0) }
    }

    /// What cannot be understood in the whole text, e.g. patterns that our matcher does not know. For tests.
    package var complaints: [String] { body.complaints + shapes.complaints() }
}

/// One operation of a model.
public final class OperationSchema: Sendable {
    public let name: String
    public let method: String
    /// The URI template, e.g. `/2015-03-31/functions/{FunctionName}/invocations`.
    public let uri: String
    /// Status of success.
    public let status: Int
    /// The input has a blob payload that is delivered as a stream (S3 PutObject, UploadPart).
    public let streamsInput: Bool
    /// The input has a blob payload that is delivered whole, in `OperationRequest.payload` (Lambda Invoke).
    public let hasBlobInput: Bool
    /// The output has a blob payload (`ResponsePayload` carries it).
    public let hasBlobOutput: Bool
    /// The output is a stream of events, encoded with `EventStreamEncoder`; `ResponsePayload.stream` carries it.
    public let hasEventOutput: Bool

    let resultWrapper: String?
    /// Root element of the input, when the model names one.
    let inputRoot: String?
    let inputNamespace: XMLNamespace?
    /// Required query parameters and headers that tell this operation from others of the same path.
    let needs: [Router.Need]
    let isRouted: Bool

    private let inputName: String?
    private let outputName: String?
    private let shapes: ShapeTable
    private let inputCache = AtomicLazyReference<ShapeSchema>()
    private let outputCache = AtomicLazyReference<ShapeSchema>()

    /// Nil when the line is malformed.
    init?(_ words: inout Words, shapes: ShapeTable) {
        guard let name = words.next(), let method = words.next(), let status = words.next().flatMap({ Int($0) }),
            let uri = words.next()
        else { return nil }
        self.name = name
        self.method = method
        self.uri = uri
        self.status = status
        self.shapes = shapes
        var attributes = Attributes()
        // The errors come last; nothing needs them by operation yet.
        while !words.starts(with: "errors="), let (key, value) = words.attribute() { attributes.set(key, value) }
        streamsInput = attributes.flags.contains("streamin")
        hasBlobInput = attributes.flags.contains("blobin")
        hasBlobOutput = attributes.flags.contains("blobout")
        hasEventOutput = attributes.flags.contains("eventout")
        isRouted = !attributes.flags.contains("unrouted")
        inputName = attributes.input
        outputName = attributes.output
        resultWrapper = attributes.wrapper
        inputRoot = attributes.root
        inputNamespace = attributes.namespace
        needs = attributes.needs
    }

    private struct Attributes {
        var input: String?
        var output: String?
        var wrapper: String?
        var root: String?
        var namespace: XMLNamespace?
        var needs: [Router.Need] = []
        var flags: [String] = []

        mutating func set(_ key: String, _ value: String) {
            switch key {
            case "in": input = value
            case "out": output = value
            case "wrapper": wrapper = value
            case "root": root = value
            case "xmlns": namespace = XMLNamespace(uri: value)
            case "xmlprefix": namespace?.prefix = value
            case "needs": needs = value.split(separator: ",").map { Router.Need(String($0)) }
            default: flags.append(key)
            }
        }
    }

    /// Nil when the operation takes nothing.
    var input: ShapeSchema? { cached(inputCache, inputName) }
    /// Nil when the operation answers nothing.
    var output: ShapeSchema? { cached(outputCache, outputName) }

    private func cached(_ cache: borrowing AtomicLazyReference<ShapeSchema>, _ name: String?) -> ShapeSchema? {
        guard let name else { return nil }
        if let shape = cache.load() { return shape }
        guard let shape = shapes.shape(name) else { return nil }
        return cache.storeIfNil(shape)
    }
}

/// A typed view of a `Value` that holds one structure; generated types conform. Members are optional properties.
public protocol Shape: Sendable {
    var value: Value { get set }
    init(_ value: Value)
}

extension Shape {
    public init() { self.init([:]) }
}
