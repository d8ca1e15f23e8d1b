import Contracts
import NIOCore
import Platform
import Wire

/// What functions return for HeadObject and the listings (S3 guide, "Writing Lambda functions for S3 Object Lambda access
/// points").
enum FunctionAnswer {
    /// The status, if it is not that of an error. Throws the caller's error then, and LambdaInvalidResponse.
    static func status(_ answer: Value) throws(AWSError) -> Int {
        guard let status = answer["statusCode"]?.int, (200...599).contains(status) else {
            throw ObjectLambdaError.invalidResponse("The function's response has no valid statusCode.")
        }
        guard status >= 400 || answer["errorCode"]?.string != nil else { return Int(status) }
        let code = answer["errorCode"]?.string ?? "LambdaInvalidResponse"
        let text = answer["errorMessage"]?.string ?? ""
        throw AWSError(
            String(code.prefix(ControlLimits.errorTextBytes)), status: Int(max(status, 400)),
            String(text.prefix(ControlLimits.errorTextBytes)))
    }
}

enum HeadAnswer {
    /// Headers that a function may set, besides `x-amz-meta-`.
    private static let names: Set<String> = [
        "accept-ranges", "cache-control", "content-disposition", "content-encoding", "content-language",
        "content-length", "content-range", "content-type", "etag", "expires", "last-modified", "x-amz-archive-status",
        "x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme", "x-amz-checksum-sha1",
        "x-amz-checksum-sha256", "x-amz-checksum-type", "x-amz-delete-marker", "x-amz-expiration",
        "x-amz-missing-meta", "x-amz-mp-parts-count", "x-amz-object-lock-legal-hold", "x-amz-object-lock-mode",
        "x-amz-object-lock-retain-until-date", "x-amz-replication-status", "x-amz-request-charged", "x-amz-restore",
        "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-bucket-key-enabled", "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-server-side-encryption-customer-key-md5", "x-amz-storage-class", "x-amz-tagging-count",
        "x-amz-version-id", "x-amz-website-redirect-location",
    ]
    private static let limit = 200

    static func response(_ answer: Value) throws -> OperationResponse {
        let status = try FunctionAnswer.status(answer)
        var headers: [(name: String, value: String)] = []
        for entry in (answer["headers"]?.fields?.entries ?? []).prefix(limit) {
            let name = entry.name.lowercased()
            guard names.contains(name) || name.hasPrefix("x-amz-meta-"), let text = Self.text(entry.value),
                !text.isEmpty
            else { continue }
            headers.append((name: entry.name, value: text))
        }
        for entry in (answer["metadata"]?.fields?.entries ?? []).prefix(limit) {
            guard let text = Self.text(entry.value) else { continue }
            headers.append((name: "x-amz-meta-" + entry.name, value: text))
        }
        return OperationResponse(status: status, headers: headers)
    }

    private static func text(_ value: Value) -> String? {
        switch value {
        case .string(let text): text
        case .int(let number): String(number)
        case .bool(let flag): flag ? "true" : "false"
        default: value.int.map { String($0) }
        }
    }
}

enum ListAnswer {
    static func response(_ answer: Value, operation: String) throws -> OperationResponse {
        let status = try FunctionAnswer.status(answer)
        if let xml = answer["listResultXml"]?.string ?? answer["listResultXML"]?.string {
            return OperationResponse(
                payload: .bytes(ByteBuffer(string: xml)), status: status,
                headers: [(name: "Content-Type", value: "application/xml")])
        }
        guard let result = answer["listBucketResult"], result.fields != nil else {
            throw ObjectLambdaError.invalidResponse(
                "The function's response has neither listResultXml nor listBucketResult.")
        }
        return OperationResponse(try output(result, isV2: operation == "ListObjectsV2"), status: status)
    }

    /// The model's members by the names that functions use, which begin with a small letter.
    private static func output(_ result: Value, isV2: Bool) throws -> Value {
        var output = Fields()
        func copy(_ names: [String], from value: Value, to fields: inout Fields) {
            for name in names {
                guard let found = member(name, of: value) else { continue }
                fields.append(name, found)
            }
        }
        var texts = ["Name", "Prefix", "Delimiter", "EncodingType"]
        texts += isV2 ? ["ContinuationToken", "NextContinuationToken", "StartAfter"] : ["Marker", "NextMarker"]
        for name in texts { if let text = member(name, of: result)?.string { output.append(name, .string(text)) } }
        for name in isV2 ? ["MaxKeys", "KeyCount"] : ["MaxKeys"] {
            if let number = number(member(name, of: result)) { output.append(name, .int(number)) }
        }
        output.append("IsTruncated", .bool(flag(member("IsTruncated", of: result)) ?? false))
        output.append("Contents", .list(try list(member("Contents", of: result)).map(object)))
        output.append(
            "CommonPrefixes",
            .list(
                list(member("CommonPrefixes", of: result)).map { item in
                    ["Prefix": .string(member("Prefix", of: item)?.string ?? "")]
                }))
        return .map(output)
    }

    private static func object(_ item: Value) throws(AWSError) -> Value {
        guard let key = member("Key", of: item)?.string else {
            throw ObjectLambdaError.invalidResponse("An entry of listBucketResult.contents has no key.")
        }
        var fields: Fields = ["Key": .string(key)]
        if let text = member("LastModified", of: item)?.string {
            guard let time = Instant(iso8601: text) else {
                throw ObjectLambdaError.invalidResponse("A lastModified in listBucketResult is not a time.")
            }
            fields.append("LastModified", .timestamp(time))
        }
        if let tag = member("ETag", of: item)?.string { fields.append("ETag", .string(tag)) }
        let algorithms = list(member("ChecksumAlgorithm", of: item)).compactMap(\.string)
        if !algorithms.isEmpty { fields.append("ChecksumAlgorithm", .strings(algorithms)) }
        if let size = number(member("Size", of: item)) { fields.append("Size", .int(size)) }
        if let name = member("StorageClass", of: item)?.string { fields.append("StorageClass", .string(name)) }
        if let owner = member("Owner", of: item) {
            var shown = Fields()
            if let name = member("DisplayName", of: owner)?.string { shown.append("DisplayName", .string(name)) }
            if let id = (member("ID", of: owner) ?? owner["id"])?.string { shown.append("ID", .string(id)) }
            fields.append("Owner", .map(shown))
        }
        return .map(fields)
    }

    private static func member(_ name: String, of value: Value) -> Value? {
        let found = value[name.prefix(1).lowercased() + name.dropFirst()] ?? value[name]
        return found?.isNull == true ? nil : found
    }

    /// One thing that XML could not tell from a list of one counts as a list.
    private static func list(_ value: Value?) -> [Value] {
        guard let value else { return [] }
        return value.list ?? [value]
    }

    private static func number(_ value: Value?) -> Int64? { value?.int ?? value?.string.flatMap { Int64($0) } }

    private static func flag(_ value: Value?) -> Bool? {
        value?.bool ?? value?.string.map { $0.lowercased() == "true" }
    }
}
