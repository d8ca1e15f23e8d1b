/// Lambda's quotas and our own bounds; each with its unit and source. "Reference" is lambda-semantics.md.
enum Limits {
    // MARK: Code (reference 2.2, 7.1)

    /// Bytes of a zip in a request (`ZipFile`).
    static let zippedBytes = 52_428_800
    /// Bytes of a function's code and layers together, unpacked.
    static let unzippedBytes: Int64 = 262_144_000
    /// Bytes of a zip read from S3: it cannot usefully be larger than what it unpacks to.
    static let zippedBytesFromS3: Int64 = 262_144_000
    /// Bytes of a request body that carries code (CreateFunction, UpdateFunctionCode, PublishLayerVersion).
    static let codeRequestBytes = 70_167_211
    /// Bytes of all stored code of an account in a Region (75 GB).
    static let totalCodeBytes: Int64 = 80_530_636_800
    /// Entries of one zip. Ours: what a zip without zip64 can hold; bounds libarchive's directory in memory.
    static let zipEntries = 65_535
    /// Directories that one package (code, or a list of layers) may make. Ours: each entry could otherwise make a hundred of
    /// them, and millions would fill a file system's table of inodes; a large `node_modules` has ten thousand.
    static let zipDirectories = 65_535
    /// Bytes of one path inside a zip. Ours: Linux's PATH_MAX.
    static let zipPathBytes = 4_096
    /// Directories above a file in a zip. Ours.
    static let zipDepth = 128
    /// Bytes of one name in a path (NAME_MAX).
    static let zipNameBytes = 255

    // MARK: Configuration (reference 2.2)

    static let functionNameCharacters = 64
    static let qualifiedNameCharactersAtCreation = 140
    static let timeoutSeconds = 900
    static let defaultTimeoutSeconds = 3
    static let memoryMB = 10_240
    static let defaultMemoryMB = 128
    static let ephemeralStorageMB = 10_240
    static let defaultEphemeralStorageMB = 512
    /// Bytes of all environment variables, measured as JSON.
    static let environmentBytes = 4_096
    static let layersPerFunction = 5
    static let tagsPerResource = 50
    /// Bytes of a resource policy.
    static let policyBytes = 20_480

    // MARK: Invocation (reference 2.1, 2.2)

    static let synchronousPayloadBytes = 6_291_456
    static let eventPayloadBytes = 1_048_576
    /// Payload of the deprecated InvokeAsync, in bytes (the model: 256 KB).
    static let invokeAsyncPayloadBytes = 262_144
    /// Bytes of `X-Amz-Client-Context`, in base64.
    static let clientContextBytes = 3_583

    // MARK: Concurrency (reference 2.2, 2.6)

    /// Concurrent executions of an account in a Region.
    static let concurrency = 1_000
    /// What reservations must leave unreserved.
    static let minimumUnreservedConcurrency = 100

    // MARK: Event source mappings (reference 5.1)

    /// Records of a batch from a FIFO queue.
    static let fifoBatchSize = 10
    /// Records of a batch from a standard queue when the mapping has no batching window.
    static let batchSizeWithoutWindow = 10
    static let filtersPerMapping = 5
    /// Items of a page of mappings (AWS: 100).
    static let mappingsPerPage = 100

    // MARK: Function URLs

    /// Status, headers and cookies in front of a streamed response, bytes. Ours: what a front door takes of headers.
    static let preludeBytes = 64 << 10

    // MARK: Lists

    /// Items of a page of functions, versions, aliases, whatever more was asked for.
    static let pageItems = 50

    // MARK: Ours

    /// Rows read at a time where a list is filtered after it is read.
    static let filteredRows = 200

    /// Entries of the cache of resolved functions; over it, the cache starts anew.
    static let cachedFunctions = 20_000
    /// Decisions that are remembered of one resource policy; over it, they are made anew.
    static let cachedDecisions = 1_000
    /// Seconds for which a download URL of code is valid (reference 1.1, GetFunction).
    static let downloadSeconds: Int64 = 600
    /// Seconds before an unreferenced code directory is removed: longer than any environment of an old generation runs
    /// (900 s of timeout, and its start and shutdown).
    static let codeGraceSeconds: Int64 = 3_600
    /// Functions whose unfinished creation or update is completed in one transaction at start.
    static let recoveryBatch = 500
}
