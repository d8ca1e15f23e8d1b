import Contracts
import Platform
import Wire

/// Settings of asynchronous invocation as they are stored: what was never set is nil and is not shown.
struct EventInvokeSettings: Sendable, Hashable {
    var maximumRetryAttempts: Int?
    var maximumEventAgeSeconds: Int?
    var onSuccess: String?
    var onFailure: String?
    var lastModified = Instant(nanoseconds: 0)

    init() {}

    init(_ request: Model.PutFunctionEventInvokeConfigRequest) {
        maximumRetryAttempts = request.maximumRetryAttempts
        maximumEventAgeSeconds = request.maximumEventAgeInSeconds
        onSuccess = request.destinationConfig?.onSuccess?.destination
        onFailure = request.destinationConfig?.onFailure?.destination
    }

    init(document: Value) {
        maximumRetryAttempts = document["Retries"]?.int.map { Int($0) }
        maximumEventAgeSeconds = document["Age"]?.int.map { Int($0) }
        onSuccess = document["OnSuccess"]?.string
        onFailure = document["OnFailure"]?.string
        lastModified = Instant(milliseconds: document["Modified"]?.int ?? 0)
    }

    var document: Value {
        var fields: Fields = ["Modified": .int(lastModified.milliseconds)]
        fields["Retries"] = maximumRetryAttempts.map { .int(Int64($0)) }
        fields["Age"] = maximumEventAgeSeconds.map { .int(Int64($0)) }
        fields["OnSuccess"] = onSuccess.map { .string($0) }
        fields["OnFailure"] = onFailure.map { .string($0) }
        return .map(fields)
    }

    /// UpdateFunctionEventInvokeConfig: what the request has replaces; the rest stays. An empty destination removes one.
    mutating func merge(_ request: EventInvokeSettings) {
        if let value = request.maximumRetryAttempts { maximumRetryAttempts = value }
        if let value = request.maximumEventAgeSeconds { maximumEventAgeSeconds = value }
        if let value = request.onSuccess { onSuccess = value.isEmpty ? nil : value }
        if let value = request.onFailure { onFailure = value.isEmpty ? nil : value }
    }

    /// What a request must have and may name. Throws AWS's texts. `exists` says whether a Lambda destination is there.
    func check(function: FunctionTarget, hasDestinationConfig: Bool, exists: (FunctionName) -> Bool) throws(AWSError) {
        if maximumRetryAttempts == nil, maximumEventAgeSeconds == nil, !hasDestinationConfig {
            throw .invalidParameter("You must specify at least one of error handling or destination setting.")
        }
        for (text, services) in [
            (onSuccess, ["lambda", "sqs", "sns", "events"]), (onFailure, ["lambda", "sqs", "sns", "events", "s3"]),
        ] {
            guard let text, !text.isEmpty else { continue }
            guard let arn = ARN(text), services.contains(arn.service) else {
                throw .invalidParameter("The provided destination config \(described) is invalid.")
            }
            if arn.service != "lambda" { continue }
            guard let name = FunctionName(text) else {
                throw .invalidParameter("The destination ARN \(text) is invalid.")
            }
            if name.name == function.name {
                throw .invalidParameter("You can't specify the function as a destination for itself.")
            }
            if !exists(name) { throw .invalidParameter("The destination ARN \(text) is invalid.") }
        }
    }

    /// As AWS's own code prints it.
    private var described: String {
        let success = onSuccess.map { "OnSuccess(destination=\($0))" } ?? "null"
        let failure = onFailure.map { "OnFailure(destination=\($0))" } ?? "null"
        return "DestinationConfig(onSuccess=\(success), onFailure=\(failure))"
    }

    func output(functionARN: String) -> Model.FunctionEventInvokeConfig {
        var output = Model.FunctionEventInvokeConfig()
        output.lastModified = lastModified
        output.functionArn = functionARN
        output.maximumRetryAttempts = maximumRetryAttempts
        output.maximumEventAgeInSeconds = maximumEventAgeSeconds
        output.destinationConfig = Model.DestinationConfig([
            "OnSuccess": destination(onSuccess), "OnFailure": destination(onFailure),
        ])
        return output
    }

    private func destination(_ arn: String?) -> Value {
        guard let arn, !arn.isEmpty else { return [:] }
        return ["Destination": .string(arn)]
    }

    /// For the engine, with AWS's defaults.
    var asynchronous: AsynchronousSettings {
        AsynchronousSettings(
            maximumRetryAttempts: maximumRetryAttempts ?? 2, maximumEventAgeSeconds: maximumEventAgeSeconds ?? 21_600,
            onSuccess: onSuccess.flatMap { $0.isEmpty ? nil : $0 },
            onFailure: onFailure.flatMap { $0.isEmpty ? nil : $0 })
    }
}
