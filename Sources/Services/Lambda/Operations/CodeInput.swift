import Contracts
import Platform
import Policies
import Storage
import Wire

/// Where a request says its code is: CreateFunction's, UpdateFunctionCode's and PublishLayerVersion's common members.
struct CodeSource: Sendable {
    var zipFile: [UInt8]?
    var bucket: String?
    var key: String?
    var objectVersion: String?
    var imageURI: String?

    init(_ code: Model.FunctionCode) {
        zipFile = code.zipFile
        bucket = code.s3Bucket
        key = code.s3Key
        objectVersion = code.s3ObjectVersion
        imageURI = code.imageUri
    }

    init(_ request: Model.UpdateFunctionCodeRequest) {
        zipFile = request.zipFile
        bucket = request.s3Bucket
        key = request.s3Key
        objectVersion = request.s3ObjectVersion
        imageURI = request.imageUri
    }

    init(_ content: Model.LayerVersionContentInput) {
        zipFile = content.zipFile
        bucket = content.s3Bucket
        key = content.s3Key
        objectVersion = content.s3ObjectVersion
    }
}

/// A zip that is on disk as a blob, and known to be sound as far as its directory says.
struct StoredCode: Sendable {
    var blob: BlobID
    var size: Int64
    var unpackedBytes: Int64
    var path: String
}

extension LambdaService {
    /// Takes code from where the request says into a blob, and hands it over. What `body` has not retained by its end, or
    /// does not want to (`keeps`), is given back. Throws AWS's errors.
    func withCode<T: Sendable>(
        _ source: CodeSource, _ context: OperationContext, keeps: Bool = true, _ body: (StoredCode) async throws -> T
    ) async throws -> T {
        let (blob, size) = try await stage(source, context)
        let hold = blobs.hold(blob)
        defer { hold.release() }
        do {
            if size == 0 { throw AWSError.emptyZip }
            let directory = try await codeStore.scan(archive: hold.path)
            let result = try await body(
                StoredCode(blob: blob, size: size, unpackedBytes: directory.unpackedBytes, path: hold.path))
            if !keeps { blobs.abandon(blob) }
            return result
        } catch {
            blobs.abandon(blob)
            throw error
        }
    }

    private func stage(_ source: CodeSource, _ context: OperationContext) async throws -> (blob: BlobID, size: Int64) {
        if source.imageURI != nil { throw AWSError.noImages }
        if let bytes = source.zipFile {
            if source.bucket != nil || source.key != nil {
                throw AWSError.invalidParameter(
                    "Please do not provide other FunctionCode parameters when providing a ZipFile.")
            }
            if bytes.count > Limits.zippedBytes { throw AWSError.zippedTooLarge }
            if bytes.isEmpty { throw AWSError.emptyZip }
            let stored = try await blobs.store(bytes)
            return (stored.id, stored.size)
        }
        guard let bucket = source.bucket, let key = source.key else {
            throw AWSError.invalidParameter("Please provide a source for function code.")
        }
        do {
            return try await connections().objects.stage(
                bucket: bucket, key: key, version: source.objectVersion, for: context,
                limit: Limits.zippedBytesFromS3)
        } catch let error as AWSError {
            throw AWSError.invalidParameter(
                "Error occurred while GetObject. S3 Error Code: \(error.code). S3 Error Message: \(error.message)")
        }
    }

    /// The layers that a request names, as a version will use them. Throws AWS's texts for those that do not exist or may
    /// not be used.
    func layers(
        _ names: [LayerVersionName], for scope: AccountRegion, in transaction: any ReadTransaction
    ) throws -> [VersionRecord.LayerUse] {
        try names.map { name in
            guard let layer = try LayerTable.get(name, in: transaction) else {
                throw AWSError.invalidParameter("Layer version \(name.arn) does not exist.")
            }
            if name.scope.account != scope.account {
                let request = PolicyRequest(
                    principal: .account(scope.account), action: "lambda:GetLayerVersion", resource: name.arn)
                if !layer.policy.allows(request) {
                    throw AWSError(
                        "AccessDeniedException", status: 403,
                        "User: arn:aws:iam::\(scope.account):root is not authorized to perform: lambda:GetLayerVersion "
                            + "on resource: \(name.arn) because no resource-based policy allows the "
                            + "lambda:GetLayerVersion action")
                }
            }
            return VersionRecord.LayerUse(
                arn: name.arn, blob: layer.code, size: layer.codeSize, unpackedBytes: layer.unpackedBytes)
        }
    }

    /// Code and layers together must stay under the limit.
    func checkUnpackedSize(_ record: VersionRecord) throws(AWSError) {
        if record.unpackedBytes + record.layers.reduce(0, { $0 + $1.unpackedBytes }) >= Limits.unzippedBytes {
            throw .invalidParameter(
                "Function code combined with layers exceeds the maximum allowed size of \(Limits.unzippedBytes) bytes.")
        }
    }

    /// The account's stored code must stay under its quota.
    func checkStoredSize(_ scope: AccountRegion, adding bytes: Int64, in transaction: any ReadTransaction) throws {
        let used =
            try VersionTable.codeBytes(scope, in: transaction) + LayerTable.codeBytes(scope, in: transaction)
        if used + bytes > Limits.totalCodeBytes {
            throw AWSError.lambda("CodeStorageExceededException", status: 400, "Code storage limit exceeded.")
        }
    }

    /// Runs `body` while the directories of a version that is about to be stored are made and kept from the sweeper.
    func withDirectories<T>(of record: VersionRecord, _ body: () async throws -> T) async throws -> T {
        codeStore.pin(record.directories)
        defer { codeStore.unpin(record.directories) }
        do {
            try await unpack(record)
            return try await body()
        } catch {
            sweepLater(record.directories)
            throw error
        }
    }
}
