import Contracts
import NIOCore
import Platform
import Synchronization
import Wire

/// One request of a REST API on its way.
struct RESTCall: Sendable {
    var api: CompiledREST
    var stage: RESTStage
    /// Nil until it is found.
    var method: RESTMethod?
    var record: RequestRecord
    /// `x-amz-apigw-id`
    var extendedID: String
    /// Behind the stage, as sent.
    var path: String
    /// Nil for TestInvokeMethod.
    var door: DoorRequest?
    /// Of the authorizers' answers, when the API was looked up. TestInvokeMethod keeps none.
    var generation: UInt64 = 0
    var key: String?
    var keyID: String?
    /// What an authorizer named as the API key.
    var usageIdentifierKey: String?
    /// Milliseconds; nil without an authorizer.
    var authorizerLatency: Int?
    /// What TestInvokeMethod tells.
    var transcript: Transcript?
    var reply: @Sendable (RESTReply) -> Void

    var request: ProxyRequest { record.request }

    /// Of what is used, as permissions and policies name it: `STAGE/METHOD/path`.
    func arn(_ resource: String) -> String {
        "arn:aws:execute-api:\(api.scope.region):\(api.scope.account):\(api.id)/\(resource)"
    }

    /// The ARN of the request itself: what authorizers and policies are asked about.
    var methodARN: String { arn("\(stage.name)/\(request.method)/\(path.dropFirst())") }

    /// The ARN of the method, as functions' permissions name it.
    var sourceARN: String {
        arn("\(stage.name)/\(request.method)/\((method?.resourcePath ?? "/").dropFirst())")
    }

    /// API Gateway for a resource, or the role that stands there as credentials. Nil when those are no role of the account.
    func asker(_ source: String, credentials: String?) -> Asker? {
        let account = api.scope.account
        guard let credentials else {
            return Asker(.service(name: IntegratedFunctions.service, sourceARN: source, sourceAccount: account))
        }
        return Asker(role: credentials, of: account, source: source)
    }

    /// All values of a parameter of the request.
    func values(_ parameter: RequestParameter) -> [String] {
        switch parameter.place {
        case .header:
            let name = lowercased(parameter.name)
            return request.headers.filter { $0.name == name }.map(\.value)
        case .querystring: return request.query.filter { $0.name == parameter.name }.map(\.value)
        case .path: return record.event.pathParameters.filter { $0.name == parameter.name }.map(\.value)
        }
    }

    /// The value of `$context.NAME` before there is an answer; nil when there is none.
    func value(_ name: String) -> String? {
        switch name {
        case "requestId": request.requestID
        case "extendedRequestId": extendedID
        case "path": "/" + stage.name + path
        case "resourcePath": method?.resourcePath
        case "resourceId": method?.resourceID
        case "deploymentId": stage.deploymentID
        case "operationName": method?.operationName
        case "identity.apiKey": key
        case "identity.apiKeyId": keyID
        case "authorizer.integrationLatency": authorizerLatency.map(String.init)
        case "integration.responseTransferMode": method?.integration?.transferMode
        case "xrayTraceId": nil
        default: record.value(name)
        }
    }

    /// The value of a variable in an access log.
    func value(_ name: String, answer: ProxyAnswer, now: Instant) -> String? {
        value(name) ?? record.value(name, answer: answer, now: now)
    }
}

/// What comes of a request.
enum RESTReply: Sendable {
    case whole(ProxyAnswer)
    /// The head, and what writes the body.
    case stream(ProxyAnswer, ResponsePayload)
}

/// What TestInvokeMethod says about how it went, line by line (recorded).
final class Transcript: Sendable {
    private let lines = Mutex<[String]>([])
    private let stamp: String

    init(now: Instant) {
        let time = CivilTime(now)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        // 1970-01-01 was a Thursday.
        let day = Int((CivilTime.days(year: time.year, month: time.month, day: time.day) + 4) % 7 + 7) % 7
        stamp =
            "\(days[day]) \(months[time.month - 1]) \(pad(time.day)) \(pad(time.hour)):\(pad(time.minute)):"
            + "\(pad(time.second)) UTC \(pad(Int(time.year), 4))"
    }

    func add(_ line: String) {
        lines.withLock { lines in
            guard lines.count < 100 else { return }
            lines.append(String(line.prefix(20_000)))
        }
    }

    func text(requestID: String) -> String {
        lines.withLock { lines in
            "Execution log for request \(requestID)\n" + lines.map { "\(stamp) : \($0)\n" }.joined()
        }
    }

    /// `{a=1, b=2}`
    static func map(_ pairs: [(name: String, value: String)]) -> String {
        "{" + pairs.map { "\($0.name)=\($0.value)" }.joined(separator: ", ") + "}"
    }
}
