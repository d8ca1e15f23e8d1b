import Platform
import Wire

/// What AWS checks of a function's configuration beyond the model's constraints. All texts: reference 7.1.
enum ConfigurationRules {
    static func checkName(_ name: String) throws(AWSError) {
        if name.count > Limits.functionNameCharacters {
            throw .invalidParameter(
                "1 validation error detected: Value '\(name)' at 'functionName' failed to satisfy constraint: "
                    + "Member must have length less than or equal to \(Limits.functionNameCharacters)")
        }
    }

    /// The model allows more than ordinary functions may have (Managed Instances).
    static func checkNumbers(timeout: Int?, memory: Int?, ephemeralStorage: Int?) throws(AWSError) {
        var violations: [String] = []
        func check(_ value: Int?, _ member: String, _ limit: Int) {
            guard let value, value > limit else { return }
            violations.append(
                "Value '\(value)' at '\(member)' failed to satisfy constraint: "
                    + "Member must have value less than or equal to \(limit)")
        }
        check(timeout, "timeout", Limits.timeoutSeconds)
        check(memory, "memorySize", Limits.memoryMB)
        check(ephemeralStorage, "ephemeralStorage.size", Limits.ephemeralStorageMB)
        if violations.isEmpty { return }
        let errors = violations.count == 1 ? "error" : "errors"
        throw .validation(
            "\(violations.count) validation \(errors) detected: \(violations.joined(separator: "; "))")
    }

    static let reservedEnvironment: Set<String> = [
        "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_LAMBDA_MAX_CONCURRENCY", "AWS_LAMBDA_METADATA_API",
        "AWS_LAMBDA_METADATA_TOKEN",
    ]

    static func checkEnvironment(_ variables: [(key: String, value: String)]) throws(AWSError) {
        let reserved = variables.map(\.key).filter { reservedEnvironment.contains($0) }
        if !reserved.isEmpty {
            throw .invalidParameter(
                "Lambda was unable to configure your environment variables because the environment variables you have "
                    + "provided contains reserved keys that are currently not supported for modification. Reserved keys "
                    + "used in this request: \(reserved.joined(separator: ", "))")
        }
        let measured = JSON.encode(.stringMap(variables.map { ($0.key, $0.value) }))
        if measured.count > Limits.environmentBytes {
            throw .invalidParameter(
                "Lambda was unable to configure your environment variables because the environment variables you have "
                    + "provided exceeded the 4KB limit. String measured: \(String(decoding: measured, as: UTF8.self))")
        }
    }

    static func checkSnapStart(_ applyOn: String?, runtime: String?) throws(AWSError) {
        if applyOn == "PublishedVersions", let runtime, !Runtimes.supportsSnapStart(runtime) {
            throw .invalidParameter("\(runtime) is not supported for SnapStart enabled functions.")
        }
    }

    static func checkTags(_ tags: Fields) throws(AWSError) {
        if tags.count > Limits.tagsPerResource {
            throw .invalidParameter("Number of tags exceeds resource tag limit.")
        }
    }

    /// What a function sends, it sends as its account: a role of another one would speak for that.
    static func checkRole(_ arn: String?, _ scope: AccountRegion) throws(AWSError) {
        if let arn, ARN(arn)?.account != scope.account { throw .roleOfOtherAccount }
    }

    /// A dead-letter target is a queue or a topic.
    static func checkDeadLetter(_ arn: String?) throws(AWSError) {
        guard let arn, !arn.isEmpty else { return }
        guard let parsed = ARN(arn), parsed.service == "sqs" || parsed.service == "sns" else {
            throw .invalidParameter("The provided target ARN \(arn) is invalid.")
        }
    }

    /// The list of layers itself, before any of them is looked up. Answers their names in order.
    static func checkLayers(_ arns: [String], _ scope: AccountRegion) throws(AWSError) -> [LayerVersionName] {
        if arns.count > Limits.layersPerFunction {
            throw .invalidParameter("Cannot reference more than \(Limits.layersPerFunction) layers.")
        }
        var names: [LayerVersionName] = []
        for arn in arns {
            guard let name = LayerVersionName(arn: arn) else {
                throw .invalidParameter("Layer version \(arn) does not exist.")
            }
            if name.scope.region != scope.region {
                throw .invalidParameter(
                    "Layers are not in the same region as the function. "
                        + "Layers are expected to be in region \(scope.region).")
            }
            if let other = names.first(where: { $0.layerARN == name.layerARN }) {
                throw .invalidParameter(
                    "Two different versions of the same layer are not allowed to be referenced in the same function. "
                        + "\(other.arn) and \(arn) are versions of the same layer.")
            }
            names.append(name)
        }
        return names
    }
}
