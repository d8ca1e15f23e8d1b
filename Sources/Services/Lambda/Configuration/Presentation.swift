import Platform
import Storage

/// How a stored version is shown.
enum Presentation {
    /// Members in the model's order (reference A.5): some users compare raw JSON.
    private static let order = [
        "FunctionName", "FunctionArn", "Runtime", "Role", "Handler", "CodeSize", "Description", "Timeout", "MemorySize",
        "LastModified", "CodeSha256", "Version", "VpcConfig", "DeadLetterConfig", "Environment", "KMSKeyArn",
        "TracingConfig", "MasterArn", "RevisionId", "Layers", "State", "StateReason", "StateReasonCode",
        "LastUpdateStatus", "LastUpdateStatusReason", "LastUpdateStatusReasonCode", "FileSystemConfigs",
        "SigningProfileVersionArn", "SigningJobArn", "PackageType", "ImageConfigResponse", "Architectures",
        "EphemeralStorage", "SnapStart", "RuntimeVersionConfig", "LoggingConfig", "TenancyConfig",
        "CapacityProviderConfig", "ConfigSha256", "DurableConfig", "RuntimeConfig", "AcceleratorConfig",
    ]
    /// Not in lists (reference 1.1).
    private static let notInLists: Set<String> = [
        "State", "StateReason", "StateReasonCode", "LastUpdateStatus", "LastUpdateStatusReason",
        "LastUpdateStatusReasonCode", "RuntimeVersionConfig",
    ]

    /// The configuration with the ARN qualified by `qualifier` (an alias or version), or not at all.
    static func configuration(_ record: VersionRecord, qualifier: String?) -> Value {
        show(record, qualifier: qualifier, without: [])
    }

    static func listItem(_ record: VersionRecord, qualified: Bool) -> Value {
        show(record, qualifier: qualified ? record.version : nil, without: notInLists)
    }

    private static func show(_ record: VersionRecord, qualifier: String?, without left: Set<String>) -> Value {
        var members = record.configuration
        members.functionArn = record.scope.functionARN(record.name, qualifier: qualifier)
        members.codeSize = Int(record.codeSize)
        members.codeSha256 = codeSHA256(record.code.hex)
        if !record.layers.isEmpty {
            members.layers = record.layers.map {
                Model.Layer(["Arn": .string($0.arn), "CodeSize": .int($0.size)])
            }
        }
        var result = Fields()
        for name in order where !left.contains(name) {
            if let value = members.value[name] { result.append(name, value) }
        }
        return .map(result)
    }

    /// `CodeSha256`: base64 of the hash that names the blob.
    static func codeSHA256(_ hex: String) -> String {
        let digits = Array(hex.utf8)
        let bytes = stride(from: 0, to: digits.count - 1, by: 2).map { index in
            nibble(digits[index]) << 4 | nibble(digits[index + 1])
        }
        return Base64.encode(bytes)
    }

    private static func nibble(_ digit: UInt8) -> UInt8 { digit >= 97 ? digit - 87 : digit & 15 }
}
