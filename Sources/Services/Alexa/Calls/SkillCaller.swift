import Contracts
import NIOCore
import Platform
import Synchronization
import Wire

/// Sends requests to skills: functions as Alexa's service principal with the skill's id as event source token, web services with
/// Alexa's signature. Eight seconds for each.
struct SkillCaller: Sendable {
    let functions: any TokenFunctionCaller
    let http: any OutboundHTTP
    let signer: SignerKeeper
    let time: any TimeSource

    struct Answer: Sendable {
        var result: Result<[UInt8], SkillFailure>
        var milliseconds: Int64
    }

    /// The service principals that functions' policies name (reference 6, Overview).
    static func principal(_ kind: SkillManifest.Kind) -> Principal {
        let name = kind == .custom ? "alexa-appkit.amazon.com" : "alexa-connectedhome.amazon.com"
        return .service(name: name, sourceARN: "", sourceAccount: "")
    }

    func send(
        _ body: [UInt8], to endpoint: SkillManifest.Endpoint, _ kind: SkillManifest.Kind, skillID: String
    ) async -> Answer {
        let start = time.uptimeNanoseconds()
        let result: Result<[UInt8], SkillFailure> =
            switch endpoint {
            case .function(let arn): await call(arn, body, kind, skillID)
            case .web(let url): await post(url, body, kind)
            }
        return Answer(result: result, milliseconds: Int64((time.uptimeNanoseconds() - start) / 1_000_000))
    }

    /// Whether the function lets the skill in. Throws what a call would fail with.
    func check(_ arn: String, _ kind: SkillManifest.Kind, skillID: String) async throws(SkillFailure) {
        let result: Result<Void, any Error> = await withCheckedContinuation { continuation in
            functions.check(function: arn, as: Self.principal(kind), eventSourceToken: skillID) {
                continuation.resume(returning: $0)
            }
        }
        if case .failure(let error) = result { throw Self.failure(error) }
    }

    // MARK: Functions

    private func call(
        _ arn: String, _ body: [UInt8], _ kind: SkillManifest.Kind, _ skillID: String
    ) async -> Result<[UInt8], SkillFailure> {
        await withCheckedContinuation { continuation in
            let once = Once(continuation)
            let deadline = time.schedule(at: time.now() + Limits.responseTime) {
                once.finish(.failure(.timedOut))
            }
            functions.call(
                function: arn, as: Self.principal(kind), eventSourceToken: skillID, payload: ByteBuffer(bytes: body)
            ) { result in
                deadline.cancel()
                switch result {
                case .failure(let error): once.finish(.failure(Self.failure(error)))
                case .success(let answer):
                    let bytes = Array(answer.payload.readableBytesView)
                    guard answer.functionError == nil else {
                        let text = (try? JSON.parse(bytes))?["errorMessage"]?.string ?? ""
                        return once.finish(.failure(.failed(String(text.prefix(500)))))
                    }
                    once.finish(.success(bytes))
                }
            }
        }
    }

    private static func failure(_ error: any Error) -> SkillFailure {
        guard let error = error as? AWSError else { return .unreachable("The function could not be run.") }
        switch error.code {
        case "AccessDeniedException": return .notPermitted(error.message)
        default: return .unreachable("\(error.code): \(error.message)")
        }
    }

    // MARK: Web services

    private func post(
        _ url: String, _ body: [UInt8], _ kind: SkillManifest.Kind
    ) async -> Result<[UInt8], SkillFailure> {
        do {
            let signer = try await signer.signer()
            var headers: [(name: String, value: String)] = [
                (name: "Content-Type", value: "application/json; charset=utf-8"),
                (name: "Accept", value: "application/json"), (name: "Accept-Charset", value: "utf-8"),
                (name: "User-Agent", value: "Apache-HttpClient/UNAVAILABLE (Java/1.8.0_112)"),
            ]
            headers += try signer.headers(for: body)
            let answer = try await http.send(
                OutboundRequest(method: "POST", url: url, headers: headers, body: body, timeout: Limits.responseTime),
                bodyLimit: Limits.responseBytes + 1)
            guard answer.status == 200 else {
                return .failure(.failed("The endpoint answered the status \(answer.status)."))
            }
            return .success(answer.body)
        } catch let failure as Failure where failure.message.hasPrefix("No whole answer within") {
            return .failure(.timedOut)
        } catch let failure as Failure {
            return .failure(.unreachable(failure.message))
        } catch {
            return .failure(.unreachable("The request could not be sent."))
        }
    }
}

/// Resumes once, for the first of several that finish.
private final class Once<Value: Sendable>: Sendable {
    private let waiting: Mutex<CheckedContinuation<Value, Never>?>

    init(_ continuation: CheckedContinuation<Value, Never>) { waiting = Mutex(continuation) }

    func finish(_ value: Value) {
        let continuation = waiting.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        continuation?.resume(returning: value)
    }
}
