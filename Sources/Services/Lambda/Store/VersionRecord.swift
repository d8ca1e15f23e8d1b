import Platform
import Storage

/// One version of a function (`$LATEST` has number 0): its configuration as the API shows it, and what only we need.
struct VersionRecord: Sendable {
    /// A layer as this version uses it; kept by content, so that a deleted layer version goes on working here.
    struct LayerUse: Sendable, Hashable {
        var arn: String
        var blob: BlobID
        var size: Int64
        var unpackedBytes: Int64
    }

    var scope: AccountRegion
    var name: String
    var number: Int64
    /// Changes with every change of code or configuration; never shown.
    var generation: String
    var configuration: Model.FunctionConfiguration
    var code: BlobID
    var codeSize: Int64
    var unpackedBytes: Int64
    var layers: [LayerUse]
    /// `$LATEST`'s description when this version was published, which may have given its own.
    var sourceDescription: String?
    /// Creation or update is committed but its state not yet final.
    var settling: Bool

    static let latestNumber: Int64 = 0

    var version: String { number == VersionRecord.latestNumber ? Qualifier.latestName : String(number) }
    var layersName: String? { CodeStore.layersName(layers.map(\.blob.hex)) }
    var isPending: Bool { configuration.state == "Pending" }
    var isUpdating: Bool { configuration.lastUpdateStatus == "InProgress" }
    /// Every blob that the version refers to, once for each reference.
    var blobs: [(id: BlobID, size: Int64)] { [(code, codeSize)] + layers.map { ($0.blob, $0.size) } }
    /// Names of the code store's directories that the version runs from.
    var directories: [String] { [code.hex] + (layersName.map { [$0] } ?? []) }

    /// A new revision, after any mutation.
    mutating func revise() { configuration.revisionId = Identifier.uuid() }
}

// MARK: The JSON column

extension VersionRecord {
    var document: Value {
        var fields: Fields = ["Configuration": configuration.value, "Unpacked": .int(unpackedBytes)]
        if !layers.isEmpty {
            let uses: [Value] = layers.map { use in
                [
                    "Arn": .string(use.arn), "Blob": .string(use.blob.hex), "Size": .int(use.size),
                    "Unpacked": .int(use.unpackedBytes),
                ]
            }
            fields.append("Layers", .list(uses))
        }
        if let sourceDescription { fields.append("SourceDescription", .string(sourceDescription)) }
        return .map(fields)
    }

    static let columns = "account, region, name, number, generation, code, code_size, settling, value"

    /// Reads a row of `columns`. Throws `Failure(.corrupt)`.
    init(row: any Row) throws {
        let document = try Document.value(row.text(8))
        guard let code = BlobID(hex: row.text(5)), let configuration = document["Configuration"] else {
            throw Failure(.corrupt, "lambda_versions has a row without code or configuration")
        }
        scope = AccountRegion(account: row.text(0), region: row.text(1))
        name = row.text(2)
        number = row.int(3)
        generation = row.text(4)
        self.code = code
        codeSize = row.int(6)
        settling = row.bool(7)
        self.configuration = Model.FunctionConfiguration(configuration)
        unpackedBytes = document["Unpacked"]?.int ?? 0
        sourceDescription = document["SourceDescription"]?.string
        layers = try (document["Layers"]?.list ?? []).map { use in
            guard let arn = use["Arn"]?.string, let hex = use["Blob"]?.string, let blob = BlobID(hex: hex) else {
                throw Failure(.corrupt, "lambda_versions has a row with a broken layer")
            }
            return LayerUse(
                arn: arn, blob: blob, size: use["Size"]?.int ?? 0, unpackedBytes: use["Unpacked"]?.int ?? 0)
        }
    }
}
