import FoundationEssentials
import NIOCore
import Platform

@testable import Wire

/// The generated schema texts, read from the services' folders: Wire knows no service.
enum Schemas {
    static let lambda = load("Lambda")
    static let s3 = load("S3")
    static let logs = load("CloudWatchLogs")
    static let iam = load("IAM")
    static let sts = load("STS")
    /// Of every service there is.
    static let all: [ServiceSchema] = {
        let paths = (try? FileManager.default.subpathsOfDirectory(atPath: services.path)) ?? []
        return paths.filter { $0.contains("/Shapes/") && $0.hasSuffix("Schema.swift") }
            .map { load(services.appending(path: $0)) }
    }()

    private static let services = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Sources/Services")

    static func text(_ name: String) -> String {
        text(services.appending(path: "\(name)/Shapes/\(name)Schema.swift"))
    }

    private static func text(_ path: URL) -> String {
        guard let source = try? String(contentsOf: path, encoding: .utf8) else { return "" }
        let lines = source.split(separator: "\n", omittingEmptySubsequences: false)
        guard let start = lines.firstIndex(where: { $0.hasSuffix("#\"\"\"") }),
            let end = lines.lastIndex(where: { $0 == "\"\"\"#" })
        else { return "" }
        return lines[(start + 1)..<end].joined(separator: "\n")
    }

    private static func load(_ name: String) -> ServiceSchema {
        load(services.appending(path: "\(name)/Shapes/\(name)Schema.swift"))
    }

    private static func load(_ path: URL) -> ServiceSchema {
        do { return try ServiceSchema(text: text(path)) } catch { fatalError("\(path): \(error)") }
    }
}

func request(
    _ method: String, _ uri: String, headers: [(name: String, value: String)] = []
) -> RequestHead {
    let parts = uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    return RequestHead(
        method: method, path: String(parts[0]), query: parts.count > 1 ? String(parts[1]) : "", headers: headers)
}

/// Matches and decodes, as the front door does.
func decoded(
    _ schema: ServiceSchema, _ method: String, _ uri: String, headers: [(name: String, value: String)] = [],
    body: String = ""
) throws -> (match: OperationMatch, input: Value) {
    let head = request(method, uri, headers: headers)
    let buffer = ByteBuffer(string: body)
    let match = try Codec.match(head, body: buffer, schema: schema)
    return (match, try Codec.decode(match, head: head, body: buffer))
}

/// The message of the error that decoding gives.
func refusal(
    _ schema: ServiceSchema, _ method: String, _ uri: String, headers: [(name: String, value: String)] = [],
    body: String = ""
) -> AWSError? {
    do {
        _ = try decoded(schema, method, uri, headers: headers, body: body)
        return nil
    } catch {
        return error as? AWSError
    }
}

func text(_ response: EncodedResponse) -> String {
    String(decoding: (response.body ?? ByteBuffer()).readableBytesView, as: UTF8.self)
}

/// Seeded randomness for mutations.
struct SplitMix {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(bound, 1))) }

    /// One to four changes of a message.
    mutating func mutated(_ original: [UInt8]) -> [UInt8] {
        var bytes = original
        for _ in 0...below(3) {
            if bytes.isEmpty { return bytes }
            let index = below(bytes.count)
            switch below(5) {
            case 0: bytes[index] = UInt8(truncatingIfNeeded: next())
            case 1: bytes.remove(at: index)
            case 2: bytes.insert(original[below(original.count)], at: index)
            case 3: bytes.removeSubrange(index...)
            default: bytes.insert(contentsOf: original[below(original.count)...].prefix(16), at: index)
            }
        }
        return bytes
    }
}
