import FoundationEssentials
import NIOCore
import Platform
import Testing

@testable import Wire

private let casesFolder = ProcessInfo.processInfo.environment["MARTLET_PROTOCOL_TESTS"]

/// botocore's protocol cases in reverse. The folder that `Conformance/wire/protocols.py prepare` has filled is named by
/// the environment; without it these tests are skipped.
@Suite(.enabled(if: casesFolder != nil, "MARTLET_PROTOCOL_TESTS is not set: see Conformance/wire/protocols.py"))
struct ProtocolCases {
    private func rows(_ name: String) throws -> [Value] {
        let folder = try #require(casesFolder)
        let data = try Data(contentsOf: URL(filePath: "\(folder)/\(name)"))
        return try #require(try JSON.parse(data).list)
    }

    /// Every request that botocore writes decodes to the parameters that it was given.
    @Test func requests() throws {
        let rows = try rows("requests.json")
        #expect(rows.count >= 290)
        for row in rows {
            let id = row["id"]?.string ?? ""
            do {
                let decoded = canonical(try decode(row))
                let expected = canonical(untagged(row["expected"] ?? .null))
                #expect(decoded == expected, "\(id)\n\(JSON.encodeString(decoded))\n\(JSON.encodeString(expected))")
            } catch {
                Issue.record("\(id): \(error)")
            }
        }
    }

    private func decode(_ row: Value) throws -> Value {
        let schema = try ServiceSchema(text: row["schema"]?.string ?? "")
        #expect(schema.complaints.isEmpty)
        let head = RequestHead(
            method: row["method"]?.string ?? "", path: row["path"]?.string ?? "", query: row["query"]?.string ?? "",
            headers: (row["headers"]?.list ?? []).map { ($0.list?[0].string ?? "", $0.list?[1].string ?? "") })
        let body = ByteBuffer(bytes: Base64.decode(row["body"]?.string ?? "") ?? [])
        let match = try Codec.match(head, body: body, schema: schema)
        #expect(match.operation.name == row["operation"]?.string)
        return try Codec.decode(match, head: head, body: body)
    }

    /// Encodes every answer into encoded.json, for botocore's parsers.
    @Test func answers() throws {
        var encoded: [Value] = []
        for row in try rows("answers.json") {
            let schema = try ServiceSchema(text: row["schema"]?.string ?? "")
            let operation = try #require(schema.operations[row["operation"]?.string ?? ""])
            let match = OperationMatch(
                schema: schema, operation: operation, wireProtocol: schema.protocols[0], labels: [],
                wantsQueryError: schema.isQueryCompatible)
            var response: EncodedResponse
            if let error = row["error"] {
                let thrown = AWSError(
                    error["code"]?.string ?? "", status: Int(row["status"]?.int ?? 400), error["message"]?.string ?? "",
                    fields: untagged(error["fields"] ?? [:]).fields ?? [:])
                response = Codec.encode(
                    thrown, for: match, schema: schema, fallback: .json11, resource: "", requestID: "id")
            } else {
                let value = untagged(row["value"] ?? [:])
                response = Codec.encode(
                    value, for: match, requestID: "id", payloadApart: operation.hasEventOutput)
                if operation.hasEventOutput { response.body = events(value, match) }
            }
            encoded.append([
                "id": row["id"] ?? "", "status": .int(Int64(response.status)),
                "headers": .list(response.headers.map { [.string($0.name), .string($0.value)] }),
                "body": .string(Base64.encode(Array((response.body ?? ByteBuffer()).readableBytesView))),
            ])
        }
        let folder = try #require(casesFolder)
        try Data(JSON.encode(.list(encoded))).write(to: URL(filePath: "\(folder)/encoded.json"))
    }

    private func events(_ value: Value, _ match: OperationMatch) -> ByteBuffer {
        var whole = ByteBuffer()
        for event in (value.fields?.entries.compactMap { $0.value.list }.first ?? []) {
            guard let entry = event.fields?.entries.first else { continue }
            if var frame = Codec.encodeEvent(entry.name, entry.value, for: match) { whole.writeBuffer(&frame) }
        }
        return whole
    }

    private func untagged(_ value: Value) -> Value {
        switch value {
        case .list(let elements): return .list(elements.map(untagged))
        case .map(let fields):
            if fields.count == 1 {
                if let text = fields["$blob"]?.string { return .blob(Base64.decode(text) ?? []) }
                if let seconds = fields["$time"]?.double {
                    return .timestamp(Instant(milliseconds: Int64(seconds * 1_000)))
                }
                if let number = fields["$double"] {
                    return .double(
                        number.double ?? (number == "NaN" ? .nan : number == "Infinity" ? .infinity : -.infinity))
                }
            }
            return .map(Fields(fields.entries.map { ($0.name, untagged($0.value)) }))
        default: return value
        }
    }

    /// Names sorted, nulls out of structures and maps, NaN comparable, times in milliseconds.
    private func canonical(_ value: Value) -> Value {
        switch value {
        case .double(let number) where number.isNaN: return "NaN"
        case .timestamp(let instant): return .timestamp(Instant(milliseconds: instant.milliseconds))
        case .list(let elements): return .list(elements.map(canonical))
        case .map(let fields):
            return .map(
                Fields(
                    fields.entries.filter { !$0.value.isNull }.sorted { $0.name < $1.name }
                        .map { ($0.name, canonical($0.value)) }))
        default: return value
        }
    }
}
