import Contracts
import Platform
import Storage
import Wire

/// ListObjects, ListObjectsV2.
extension S3Service {
    /// Runs a listing to its end in one snapshot.
    private func run(_ machine: ListingMachine<ListedObject>, bucket: String, in transaction: any ReadTransaction)
        throws
        -> ListingMachine<ListedObject>
    {
        var machine = machine
        var action = machine.start()
        while case .fetch(let position, let end, let limit) = action {
            let start =
                switch position {
                case .from(let key): key
                case .after(let key, _): key + [0]
                }
            action = machine.received(
                try ObjectTable.list(bucket: bucket, from: start, end: end, limit: limit, in: transaction))
        }
        return machine
    }

    func listObjectsV2(_ input: Model.ListObjectsV2Request, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let style = try ListingStyle(encodingType: input.encodingType)
        let limit = try pageSize(input.maxKeys, name: "max-keys")
        // An empty token is refused, an empty start-after means none.
        let marker = try input.continuationToken.map { token in
            try token.isEmpty ? S3Service.badToken() : ContinuationToken.decode(token)
        }
        let machine = ListingMachine<ListedObject>(
            prefix: Array((input.prefix ?? "").utf8), delimiter: Array((input.delimiter ?? "").utf8),
            marker: marker ?? input.startAfter.map { Array($0.utf8) }, limit: limit)
        let (bucket, listed) = try await list(
            machine, bucket: input.bucket, expectedOwner: input.expectedBucketOwner, request)
        var output = Model.ListObjectsV2Output()
        output.name = bucket.name
        output.prefix = style.text(input.prefix ?? "")
        output.delimiter = input.delimiter.map { style.text($0) }
        output.startAfter = input.startAfter.map { style.text($0) }
        output.encodingType = input.encodingType
        output.maxKeys = limit
        output.isTruncated = listed.isTruncated
        output.continuationToken = input.continuationToken
        if listed.isTruncated, let last = listed.last {
            output.nextContinuationToken = ContinuationToken.encode(last.key)
        }
        let owner = input.fetchOwner == true ? self.owner(bucket.account) : nil
        let contents = listed.entries.map { style.object($0, owner: owner) }
        if !contents.isEmpty { output.contents = contents }
        if !listed.commonPrefixes.isEmpty { output.commonPrefixes = listed.commonPrefixes.map(style.commonPrefix) }
        output.keyCount = contents.count + listed.commonPrefixes.count
        return OperationResponse(output.value)
    }

    private static func badToken() throws(AWSError) -> [UInt8] {
        throw S3Error.invalidArgument(
            "The continuation token provided is incorrect", name: "continuation-token", value: "")
    }

    func listObjects(_ input: Model.ListObjectsRequest, _ request: OperationRequest) async throws -> OperationResponse {
        let style = try ListingStyle(encodingType: input.encodingType)
        let limit = try pageSize(input.maxKeys, name: "max-keys")
        let machine = ListingMachine<ListedObject>(
            prefix: Array((input.prefix ?? "").utf8), delimiter: Array((input.delimiter ?? "").utf8),
            marker: input.marker.map { Array($0.utf8) }, limit: limit)
        let (bucket, listed) = try await list(
            machine, bucket: input.bucket, expectedOwner: input.expectedBucketOwner, request)
        var output = Model.ListObjectsOutput()
        output.name = bucket.name
        output.prefix = style.text(input.prefix ?? "")
        output.marker = style.text(input.marker ?? "")
        output.delimiter = input.delimiter.map { style.text($0) }
        output.encodingType = input.encodingType
        output.maxKeys = limit
        output.isTruncated = listed.isTruncated
        // Without a delimiter the last key is the next marker, and S3 leaves it out.
        if listed.isTruncated, input.delimiter?.isEmpty == false, let last = listed.last {
            output.nextMarker = style.text(last.key)
        }
        let owner = self.owner(bucket.account)
        let contents = listed.entries.map { style.object($0, owner: owner) }
        if !contents.isEmpty { output.contents = contents }
        if !listed.commonPrefixes.isEmpty { output.commonPrefixes = listed.commonPrefixes.map(style.commonPrefix) }
        return OperationResponse(output.value)
    }

    private func list(
        _ machine: ListingMachine<ListedObject>, bucket name: String?, expectedOwner: String?,
        _ request: OperationRequest
    ) async throws -> (StoredBucket, ListingMachine<ListedObject>) {
        let context = request.context
        return try await database.read { transaction in
            let bucket = try self.bucket(name, for: context, expectedOwner: expectedOwner, in: transaction)
            return (bucket, try self.run(machine, bucket: bucket.name, in: transaction))
        }
    }

    /// The size of a page: what was asked for, at most S3's. Throws InvalidArgument for a negative number.
    func pageSize(_ asked: Int?, name: String) throws -> Int {
        let asked = asked ?? Limits.listEntries
        guard (0...Int(Int32.max)).contains(asked) else {
            throw S3Error.invalidArgument(
                "Argument \(name) must be an integer between 0 and 2147483647", name: name, value: String(asked))
        }
        return min(asked, Limits.listEntries)
    }
}

/// How keys are written in a listing.
struct ListingStyle: Sendable {
    private let encodes: Bool

    /// Throws InvalidArgument for an encoding other than `url`.
    init(encodingType: String?) throws(AWSError) {
        guard encodingType == nil || encodingType == "url" else {
            throw S3Error.invalidArgument(
                "Invalid Encoding Method specified in Request", name: "encoding-type", value: encodingType ?? "")
        }
        encodes = encodingType != nil
    }

    func text(_ bytes: [UInt8]) -> String {
        encodes ? FormEncoding.encode(bytes) : String(decoding: bytes, as: UTF8.self)
    }

    func text(_ text: String) -> String { encodes ? FormEncoding.encode(text.utf8) : text }

    func commonPrefix(_ bytes: [UInt8]) -> Model.CommonPrefix {
        var item = Model.CommonPrefix()
        item.prefix = text(bytes)
        return item
    }

    func object(_ object: ListedObject, owner: Model.Owner?) -> Model.Object {
        var item = Model.Object()
        item.key = text(object.keyBytes)
        item.lastModified = object.modified
        item.eTag = "\"\(object.etag)\""
        if let algorithm = object.checksumAlgorithm { item.checksumAlgorithm = [algorithm] }
        item.checksumType = object.checksumType
        item.size = Int(object.size)
        item.storageClass = object.storageClass
        item.owner = owner
        return item
    }
}
