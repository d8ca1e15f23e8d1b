import Contracts
import NIOCore
import Platform

/// What the platform itself writes into a function's log, in text or as JSON objects (`lambda-semantics` 2.11, 3.3).
/// Text ignores the system log level, as AWS does.
struct PlatformLog: Sendable {
    private enum Level: Int { case debug, info, warn }

    private let function: FunctionVersion
    private let isJSON: Bool
    private let lowest: Level

    init(_ function: FunctionVersion) {
        self.function = function
        isJSON = function.logging.format == .json
        lowest =
            switch function.logging.systemLevel {
            case "DEBUG": .debug
            case "WARN": .warn
            default: .info
            }
    }

    func initStart(phase: EnvironmentMachine.InitPhase, version: String, versionARN: String, now: Instant) -> [String] {
        guard isJSON else {
            // Only the first start is announced in text.
            guard phase == .initial else { return [] }
            return ["INIT_START Runtime Version: \(version)\tRuntime Version ARN: \(versionARN)\n"]
        }
        let record =
            "{\"initializationType\":\"on-demand\",\"phase\":\"\(phase.rawValue)\","
            + "\"runtimeVersion\":\(jsonQuoted(version)),\"runtimeVersionArn\":\(jsonQuoted(versionARN)),"
            + "\"functionName\":\(jsonQuoted(function.name)),\"functionVersion\":\(jsonQuoted(function.version))}"
        return object("platform.initStart", record, .info, now)
    }

    func initReport(_ report: EnvironmentMachine.InitReport, now: Instant) -> [String] {
        let isSuccess = report.status == .success
        guard isJSON else {
            // A successful init on demand is shown by REPORT only.
            guard !isSuccess else { return [] }
            return [
                "INIT_REPORT Init Duration: \(milliseconds(report.duration)) ms\tPhase: \(report.phase.rawValue)\t"
                    + "\(statusText(report.status))\n"
            ]
        }
        let head =
            "{\"initializationType\":\"on-demand\",\"phase\":\"\(report.phase.rawValue)\",\(statusJSON(report.status))"
        let level: Level = isSuccess ? .debug : .warn
        return object("platform.initRuntimeDone", head + "}", level, now)
            + object(
                "platform.initReport",
                head + ",\"metrics\":{\"durationMs\":\(milliseconds(report.duration, trims: true))}}",
                level, now)
    }

    func start(requestID: String, traceID: String?, now: Instant) -> [String] {
        guard isJSON else { return ["START RequestId: \(requestID) Version: \(function.version)\n"] }
        var record = "{\"requestId\":\(jsonQuoted(requestID)),\"version\":\(jsonQuoted(function.version))"
        if let traceID {
            record += ",\"tracing\":{\"type\":\"X-Amzn-Trace-Id\",\"value\":\(jsonQuoted(traceID))}"
        }
        return object("platform.start", record + "}", .info, now)
    }

    /// END and REPORT. Text shows how it failed, but not for errors that the handler returned.
    func report(_ finish: EnvironmentMachine.Finish, memoryUsedMB: Int, now: Instant) -> [String] {
        let billed = (finish.duration &+ (finish.initDuration ?? 0) &+ 999_999) / 1_000_000
        guard isJSON else {
            var text =
                "REPORT RequestId: \(finish.requestID)\tDuration: \(milliseconds(finish.duration)) ms\t"
                + "Billed Duration: \(billed) ms\tMemory Size: \(function.memoryMB) MB\t"
                + "Max Memory Used: \(memoryUsedMB) MB\t"
            if let duration = finish.initDuration { text += "Init Duration: \(milliseconds(duration)) ms\t" }
            if !finish.isHandled { text += statusText(finish.status) }
            return ["END RequestId: \(finish.requestID)\n", text + "\n"]
        }
        let isSuccess = finish.status == .success
        let head = "{\"requestId\":\(jsonQuoted(finish.requestID)),\(statusJSON(finish.status))"
        var metrics =
            "{\"durationMs\":\(milliseconds(finish.duration, trims: true)),\"billedDurationMs\":\(billed),"
            + "\"memorySizeMB\":\(function.memoryMB),\"maxMemoryUsedMB\":\(memoryUsedMB)"
        if let duration = finish.initDuration {
            metrics += ",\"initDurationMs\":\(milliseconds(duration, trims: true))"
        }
        let produced = finish.isError ? 0 : finish.payload.readableBytes
        let done =
            head + ",\"metrics\":{\"durationMs\":\(milliseconds(finish.duration, trims: true)),"
            + "\"producedBytes\":\(produced)}}"
        return object("platform.runtimeDone", done, isSuccess ? .debug : .warn, now)
            + object("platform.report", head + ",\"metrics\":\(metrics)}}", isSuccess ? .info : .warn, now)
    }

    private func object(_ type: String, _ record: String, _ level: Level, _ now: Instant) -> [String] {
        guard level.rawValue >= lowest.rawValue else { return [] }
        return ["{\"time\":\"\(now.iso8601(fractionDigits: 3))\",\"type\":\"\(type)\",\"record\":\(record)}\n"]
    }

    private func statusText(_ status: EnvironmentMachine.Status) -> String {
        switch status {
        case .success: ""
        case .timeout: "Status: timeout"
        case .error(let type): "Status: error\tError Type: \(type)"
        }
    }

    private func statusJSON(_ status: EnvironmentMachine.Status) -> String {
        switch status {
        case .success: "\"status\":\"success\""
        case .timeout: "\"status\":\"timeout\""
        case .error(let type): "\"status\":\"error\",\"errorType\":\(jsonQuoted(type))"
        }
    }
}

/// Nanoseconds as milliseconds with two decimals, `3.01`; `trims` leaves out trailing zeros but one digit, as JSON
/// shows it.
func milliseconds(_ nanoseconds: UInt64, trims: Bool = false) -> String {
    let hundredths = (nanoseconds &+ 5_000) / 10_000
    let fraction = Int(hundredths % 100)
    let whole = hundredths / 100
    if trims { return fraction % 10 == 0 ? "\(whole).\(fraction / 10)" : "\(whole).\(pad(fraction))" }
    return "\(whole).\(pad(fraction))"
}

/// `YYYY/MM/DD/[VERSION]32hex`; with a log group that functions share, the name comes before the version.
func logStreamName(_ function: FunctionVersion, now: Instant, suffix: String) -> String {
    let day = CivilTime(now)
    let name = function.logging.group == "/aws/lambda/\(function.name)" ? "" : function.name
    let date = "\(pad(Int(day.year), 4))/\(pad(day.month))/\(pad(day.day))"
    return "\(date)/\(name)[\(function.version)]\(suffix)"
}
