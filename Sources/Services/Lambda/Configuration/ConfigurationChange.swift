import Platform
import Wire

/// How requests become configurations: AWS's defaults at creation, and what an update replaces. Pure.
enum ConfigurationChange {
    /// The configuration of a function that is being created, without what its code says.
    static func created(
        _ request: Model.CreateFunctionRequest, name: String, scope: AccountRegion, now: Instant
    ) -> Model.FunctionConfiguration {
        var result = Model.FunctionConfiguration()
        result.functionName = name
        result.functionArn = scope.functionARN(name)
        result.runtime = request.runtime
        result.role = request.role
        result.handler = request.handler
        result.description = request.description ?? ""
        result.timeout = request.timeout ?? Limits.defaultTimeoutSeconds
        result.memorySize = request.memorySize ?? Limits.defaultMemoryMB
        result.version = Qualifier.latestName
        result.vpcConfig = request.vpcConfig.map { vpc($0) }
        result.deadLetterConfig = deadLetter(request.deadLetterConfig)
        result.environment = request.environment.map { environment($0) }
        if let key = request.kmsKeyArn, !key.isEmpty { result.kmsKeyArn = key }
        result.tracingConfig = Model.TracingConfigResponse([
            "Mode": .string(request.tracingConfig?.mode ?? "PassThrough")
        ])
        result.fileSystemConfigs = request.fileSystemConfigs.flatMap { $0.isEmpty ? nil : $0 }
        result.packageType = "Zip"
        result.architectures = request.architectures ?? ["x86_64"]
        result.ephemeralStorage = request.ephemeralStorage ?? defaultStorage
        result.snapStart = snapStart(request.snapStart)
        result.runtimeVersionConfig = request.runtime.map { runtimeVersion($0, scope) }
        result.loggingConfig = logging(request.loggingConfig, current: nil, name: name)
        result.tenancyConfig = request.tenancyConfig
        result.state = "Pending"
        result.stateReason = "The function is being created."
        result.stateReasonCode = "Creating"
        result.lastModified = lastModified(now)
        return result
    }

    /// What UpdateFunctionConfiguration changes: members that the request has replace what was there.
    static func updated(
        _ current: Model.FunctionConfiguration, by request: Model.UpdateFunctionConfigurationRequest, name: String,
        scope: AccountRegion
    ) -> Model.FunctionConfiguration {
        var result = current
        if let role = request.role { result.role = role }
        if let handler = request.handler { result.handler = handler }
        if let description = request.description { result.description = description }
        if let timeout = request.timeout { result.timeout = timeout }
        if let memory = request.memorySize { result.memorySize = memory }
        if let config = request.vpcConfig { result.vpcConfig = vpc(config) }
        if let config = request.environment { result.environment = environment(config) }
        if let runtime = request.runtime {
            result.runtime = runtime
            result.runtimeVersionConfig = runtimeVersion(runtime, scope)
        }
        if let config = request.deadLetterConfig { result.deadLetterConfig = deadLetter(config) }
        if let key = request.kmsKeyArn { result.kmsKeyArn = key.isEmpty ? nil : key }
        if let mode = request.tracingConfig?.mode {
            result.tracingConfig = Model.TracingConfigResponse(["Mode": .string(mode)])
        }
        if let configs = request.fileSystemConfigs { result.fileSystemConfigs = configs.isEmpty ? nil : configs }
        if let storage = request.ephemeralStorage { result.ephemeralStorage = storage }
        if let config = request.snapStart { result.snapStart = snapStart(config) }
        if let config = request.loggingConfig {
            result.loggingConfig = logging(config, current: result.loggingConfig, name: name)
        }
        return result
    }

    /// An update of code or configuration is on its way.
    static func markUpdating(_ configuration: inout Model.FunctionConfiguration, now: Instant) {
        configuration.lastModified = lastModified(now)
        configuration.lastUpdateStatus = "InProgress"
        configuration.lastUpdateStatusReason = "The function is being created."
        configuration.lastUpdateStatusReasonCode = "Creating"
    }

    /// Creation or update is done.
    static func markSettled(_ configuration: inout Model.FunctionConfiguration) {
        configuration.state = "Active"
        configuration.stateReason = nil
        configuration.stateReasonCode = nil
        configuration.lastUpdateStatus = "Successful"
        configuration.lastUpdateStatusReason = nil
        configuration.lastUpdateStatusReasonCode = nil
    }

    /// `2025-11-24T23:11:08.000+0000`.
    static func lastModified(_ now: Instant) -> String {
        now.iso8601(fractionDigits: 3).dropLast() + "+0000"
    }

    private static let defaultStorage = Model.EphemeralStorage([
        "Size": .int(Int64(Limits.defaultEphemeralStorageMB))
    ])

    private static func environment(_ request: Model.Environment) -> Model.EnvironmentResponse {
        Model.EnvironmentResponse([
            "Variables": .stringMap((request.variables ?? []).map { ($0.key, $0.value) })
        ])
    }

    private static func deadLetter(_ request: Model.DeadLetterConfig?) -> Model.DeadLetterConfig? {
        guard let arn = request?.targetArn, !arn.isEmpty else { return nil }
        return Model.DeadLetterConfig(["TargetArn": .string(arn)])
    }

    private static func snapStart(_ request: Model.SnapStart?) -> Model.SnapStartResponse {
        Model.SnapStartResponse([
            "ApplyOn": .string(request?.applyOn ?? "None"), "OptimizationStatus": "Off",
        ])
    }

    private static func runtimeVersion(_ runtime: String, _ scope: AccountRegion) -> Model.RuntimeVersionConfig {
        Model.RuntimeVersionConfig(["RuntimeVersionArn": .string(Runtimes.versionARN(runtime, scope))])
    }

    /// Kept, not enforced: there is no VPC here.
    private static func vpc(_ request: Model.VpcConfig) -> Model.VpcConfigResponse {
        Model.VpcConfigResponse([
            "SubnetIds": .strings(request.subnetIds ?? []),
            "SecurityGroupIds": .strings(request.securityGroupIds ?? []),
            "VpcId": "",
            "Ipv6AllowedForDualStack": .bool(request.ipv6AllowedForDualStack ?? false),
        ])
    }

    /// Partial: what the request leaves out stays. Levels belong to JSON only, and start at INFO.
    static func logging(
        _ request: Model.LoggingConfig?, current: Model.LoggingConfig?, name: String
    ) -> Model.LoggingConfig {
        let format = request?.logFormat ?? current?.logFormat ?? "Text"
        var result = Model.LoggingConfig()
        result.logFormat = format
        if format == "JSON" {
            result.applicationLogLevel = request?.applicationLogLevel ?? current?.applicationLogLevel ?? "INFO"
            result.systemLogLevel = request?.systemLogLevel ?? current?.systemLogLevel ?? "INFO"
        }
        result.logGroup = request?.logGroup ?? current?.logGroup ?? "/aws/lambda/\(name)"
        return result
    }
}
