import Contracts
import Platform
import Storage
import Wire

/// Names and qualifiers to stored records, in a transaction.
enum FunctionResolution {
    /// What a qualifier names: a version, perhaps by way of an alias.
    struct Resolved: Sendable {
        var record: VersionRecord
        var alias: AliasRecord?
    }

    /// The version that a target names (an alias's first). Throws 404 with the ARN as the caller named it.
    static func resolve(_ target: FunctionTarget, in transaction: any ReadTransaction) throws -> Resolved {
        var alias: AliasRecord?
        var number: Int64
        switch Qualifier(target.qualifier) {
        case .latest: number = VersionRecord.latestNumber
        case .version(let given): number = given
        case .alias(let name):
            guard let found = try AliasTable.get(target.scope, target.name, name, in: transaction) else {
                throw AWSError.functionNotFound(target.arn)
            }
            alias = found
            number = VersionRecord.number(of: found.version)
        }
        guard let record = try VersionTable.get(target.scope, target.name, number: number, in: transaction) else {
            throw AWSError.functionNotFound(target.arn)
        }
        return Resolved(record: record, alias: alias)
    }

    /// `$LATEST`. Throws 404 with the unqualified ARN.
    static func latest(_ target: FunctionTarget, in transaction: any ReadTransaction) throws -> VersionRecord {
        guard
            let record = try VersionTable.get(
                target.scope, target.name, number: VersionRecord.latestNumber, in: transaction)
        else { throw AWSError.functionNotFound(target.unqualifiedARN) }
        return record
    }

    static func function(_ target: FunctionTarget, in transaction: any ReadTransaction) throws -> FunctionRecord {
        guard let record = try FunctionTable.get(target.scope, target.name, in: transaction) else {
            throw AWSError.functionNotFound(target.unqualifiedARN)
        }
        return record
    }

    /// The function exists, and so does the version or alias, if one is named. Throws what the policy operations answer:
    /// an alias that is not there is "Cannot find alias arn".
    static func requireQualifier(_ target: FunctionTarget, in transaction: any ReadTransaction) throws {
        guard try FunctionTable.get(target.scope, target.name, in: transaction) != nil else {
            throw AWSError.functionNotFound(target.arn)
        }
        switch Qualifier(target.qualifier) {
        case .latest: return
        case .version(let number):
            if try !VersionTable.exists(target.scope, target.name, number: number, in: transaction) {
                throw AWSError.functionNotFound(target.arn)
            }
        case .alias(let name):
            if try AliasTable.get(target.scope, target.name, name, in: transaction) == nil {
                // A dollar cannot be in an alias's name, so that is not what was looked for.
                throw name.contains("$") ? AWSError.functionNotFound(target.arn) : AWSError.aliasNotFound(target.arn)
            }
        }
    }
}

extension VersionRecord {
    /// The number of a version's name; one that nobody has when it is not a number.
    static func number(of version: String) -> Int64 {
        if version == Qualifier.latestName { return latestNumber }
        return Int64(version) ?? -1
    }

    /// What the engine runs. Throws 409 while the version is not ready.
    func functionVersion(of function: FunctionRecord?, codeStore: CodeStore) throws -> FunctionVersion {
        if configuration.state != "Active" { throw AWSError.wrongState(configuration.state ?? "Pending") }
        let logging = configuration.loggingConfig
        let variables = (configuration.environment?.variables ?? []).map { (name: $0.key, value: $0.value) }
        var result = FunctionVersion(
            scope: scope, name: name, version: version, generation: generation, functionARN: scope.functionARN(name),
            runtime: configuration.runtime ?? "", handler: configuration.handler ?? "",
            architecture: configuration.architectures?.first ?? "x86_64",
            memoryMB: configuration.memorySize ?? Limits.defaultMemoryMB,
            timeoutSeconds: configuration.timeout ?? Limits.defaultTimeoutSeconds,
            ephemeralStorageMB: configuration.ephemeralStorage?.size ?? Limits.defaultEphemeralStorageMB,
            environment: Secret(variables), roleARN: configuration.role ?? "",
            codeDirectory: codeStore.path(code.hex), layersDirectory: layersName.map { codeStore.path($0) },
            logging: FunctionVersion.LoggingSettings(
                format: logging?.logFormat == "JSON" ? .json : .text,
                applicationLevel: logging?.applicationLogLevel ?? "INFO",
                systemLevel: logging?.systemLogLevel ?? "INFO", group: logging?.logGroup ?? "/aws/lambda/\(name)"),
            reservedConcurrency: function?.reservedConcurrency,
            tracingActive: configuration.tracingConfig?.mode == "Active")
        result.allowsRecursion = function?.recursiveLoop == "Allow"
        return result
    }
}
