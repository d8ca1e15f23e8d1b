import Contracts
import Platform
import Storage
import Wire

/// GetBucketVersioning, PutBucketVersioning, ListObjectVersions.
extension S3Service {
    func getBucketVersioning(_ input: Model.GetBucketVersioningRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let bucket = try await find(input.bucket, expectedOwner: input.expectedBucketOwner, request)
        var output = Model.GetBucketVersioningOutput()
        switch bucket.versioning {
        case .never: break
        case .enabled: output.status = "Enabled"
        case .suspended: output.status = "Suspended"
        }
        return OperationResponse(output.value)
    }

    func putBucketVersioning(_ input: Model.PutBucketVersioningRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        if request.context.header("x-amz-mfa") != nil || input.versioningConfiguration?.mfaDelete == "Enabled" {
            throw S3Error.notImplemented(header: "x-amz-mfa", "MFA delete is not implemented")
        }
        let versioning: Versioning
        switch input.versioningConfiguration?.status {
        case "Enabled": versioning = .enabled
        case "Suspended": versioning = .suspended
        case nil:
            throw AWSError(
                "IllegalVersioningConfigurationException", status: 400,
                "The Versioning element must be specified")
        default: throw S3Error.malformedXML
        }
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { bucket, _ in
            bucket.versioning = versioning
        }
        return OperationResponse()
    }

    func listObjectVersions(_ input: Model.ListObjectVersionsRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let style = try ListingStyle(encodingType: input.encodingType)
        let limit = try pageSize(input.maxKeys, name: "max-keys")
        let keyMarker = input.keyMarker.flatMap { $0.isEmpty ? nil : $0 }
        guard keyMarker != nil || (input.versionIdMarker ?? "").isEmpty else {
            throw S3Error.invalidArgument(
                "A version-id marker cannot be specified without a key marker.", name: "version-id-marker",
                value: input.versionIdMarker ?? "")
        }
        let choice = try input.versionIdMarker.flatMap { $0.isEmpty ? nil : $0 }.map { try VersionChoice($0) }
        let context = request.context
        let (bucket, listed) = try await database.read { transaction in
            let bucket = try self.bucket(
                input.bucket, for: context, expectedOwner: input.expectedBucketOwner, in: transaction)
            let tie = try self.tie(choice, key: keyMarker, bucket, transaction)
            var machine = ListingMachine<VersionEntry>(
                prefix: Array((input.prefix ?? "").utf8), delimiter: Array((input.delimiter ?? "").utf8),
                marker: keyMarker.map { Array($0.utf8) }, markerTie: tie, limit: limit)
            var action = machine.start()
            while case .fetch(let position, let end, let limit) = action {
                action = machine.received(
                    try VersionTable.list(bucket: bucket.name, at: position, end: end, limit: limit, in: transaction))
            }
            return (bucket, machine)
        }
        var output = Model.ListObjectVersionsOutput()
        output.name = bucket.name
        output.prefix = style.text(input.prefix ?? "")
        output.delimiter = input.delimiter.map { style.text($0) }
        output.keyMarker = style.text(input.keyMarker ?? "")
        output.versionIdMarker = input.versionIdMarker ?? ""
        output.encodingType = input.encodingType
        output.maxKeys = limit
        output.isTruncated = listed.isTruncated
        if listed.isTruncated, let last = listed.last {
            output.nextKeyMarker = style.text(last.key)
            // A page that ends in a common prefix has no version there.
            if !last.tie.isEmpty { output.nextVersionIdMarker = listed.entries.last?.versionText }
        }
        let owner = self.owner(bucket.account)
        let versions = listed.entries.filter { !$0.isMarker }.map { style.version($0, owner: owner) }
        let markers = listed.entries.filter(\.isMarker).map { style.marker($0, owner: owner) }
        if !versions.isEmpty { output.versions = versions }
        if !markers.isEmpty { output.deleteMarkers = markers }
        if !listed.commonPrefixes.isEmpty { output.commonPrefixes = listed.commonPrefixes.map(style.commonPrefix) }
        return OperationResponse(output.value)
    }

    /// Where a page begins: behind this version of the key marker.
    private func tie(
        _ choice: VersionChoice?, key: String?, _ bucket: StoredBucket, _ transaction: any ReadTransaction
    ) throws -> String? {
        guard let choice, let key else { return nil }
        if case .id(_, let rank) = choice { return VersionEntry.tie(rank: rank) }
        switch try find(try ObjectKey(key), choice, in: bucket, transaction) {
        case .object(let object, _): return VersionEntry.tie(rank: object.rank)
        case .marker(let marker): return VersionEntry.tie(rank: marker.rank)
        // Gone since the last page: the key is shown from its newest version on, rather than the rest of it left out.
        case nil: return VersionEntry.tie(rank: 0)
        }
    }
}

extension ListingStyle {
    func version(_ entry: VersionEntry, owner: Model.Owner) -> Model.ObjectVersion {
        var item = Model.ObjectVersion()
        item.key = text(entry.keyBytes)
        item.versionId = entry.versionText
        item.isLatest = entry.isLatest
        item.lastModified = entry.modified
        item.eTag = "\"\(entry.etag)\""
        if let algorithm = entry.checksumAlgorithm { item.checksumAlgorithm = [algorithm] }
        item.checksumType = entry.checksumType
        item.size = Int(entry.size)
        item.storageClass = entry.storageClass
        item.owner = owner
        return item
    }

    func marker(_ entry: VersionEntry, owner: Model.Owner) -> Model.DeleteMarkerEntry {
        var item = Model.DeleteMarkerEntry()
        item.key = text(entry.keyBytes)
        item.versionId = entry.versionText
        item.isLatest = entry.isLatest
        item.lastModified = entry.modified
        item.owner = owner
        return item
    }
}
