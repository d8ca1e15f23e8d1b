public import Contracts
import Crypto
public import Logging
import NIOCore
public import Platform
public import Storage
import Synchronization
import Wire

/// Alexa skills: the Skill Management API's registry of skills and their interaction models, and the part of Alexa that turns
/// utterances into requests to the skills. A door (`/_aws/alexa/api/…`, `/_aws/alexa/lwa/…`), since its API is none of AWS's.
public final class AlexaService: HTTPDoor, Sendable {
    public static var migrations: Migrations { alexaMigrations }

    public let label = "alexa"
    public var bodyLimit: Int { Limits.bodyBytes }
    public var tooLarge: DoorResponse {
        APIError(status: 413, message: "The request exceeds \(Limits.bodyBytes) bytes.").answer.door
    }

    private let access: TokenEndpoint
    private let skills: SkillOperations
    private let models: ModelOperations
    private let talks: TalkOperations
    private let signer: SignerKeeper
    private let logger: Logger

    /// `serverKey`: 32 random bytes kept with the data. `credentials`: who may get access tokens, with authentication on.
    public init(
        database: any Database, functions: any TokenFunctionCaller, http: any OutboundHTTP,
        credentials: any CredentialIssuer, isAuthenticationOn: Bool, serverKey: [UInt8], time: any TimeSource,
        logger: Logger
    ) {
        self.logger = logger
        signer = SignerKeeper(database: database, time: time)
        access = TokenEndpoint(
            tokens: AccessTokens(serverKey: serverKey), credentials: credentials, isAuthenticationOn: isAuthenticationOn
        )
        let caller = SkillCaller(functions: functions, http: http, signer: signer, time: time)
        let cache = ModelCache(database: database)
        skills = SkillOperations(database: database, caller: caller, signer: signer)
        models = ModelOperations(database: database, cache: cache, time: time)
        talks = TalkOperations(database: database, cache: cache, caller: caller, time: time, logger: logger)
    }

    public func respond(to request: DoorRequest, _ completion: @escaping @Sendable (DoorResponse) -> Void) {
        Task { [self] in
            do {
                completion(try await answer(request).door)
            } catch let error as APIError {
                completion(error.answer.door)
            } catch {
                logger.error(
                    "an Alexa request failed",
                    metadata: ["id": "\(request.context.requestID)", "error": "\(error)"])
                completion(APIError(status: 500, message: "Internal service error.").answer.door)
            }
        }
    }

    private func answer(_ request: DoorRequest) async throws -> APIAnswer {
        // A cell's function is no developer: with a skill it could make this server call where it cannot reach itself. Nor is
        // the server: where its own requests go is somebody else's choice.
        guard request.cell == nil, request.head.header(OutboundMark.header) == nil else {
            throw APIError(status: 403, message: "Functions may not use the Skill Management API.")
        }
        switch request.labels.first {
        case "lwa": return try token(request)
        case "api": break
        default: throw APIError.notFound("there are the hosts api and lwa.")
        }
        let call = APIRequest(request)
        if call.method == "GET", call.path.count == 2, call.path[0] == "echo.api" {
            return try await certificate(call.path[1])
        }
        guard isAuthorized(request) else { throw APIError.unauthorized }
        return try await route(call)
    }

    private func token(_ request: DoorRequest) throws(APIError) -> APIAnswer {
        guard request.head.path.lowercased() == "/auth/o2/token" else { throw APIError.notFound("POST /auth/o2/token") }
        guard request.head.method == "POST" else { throw APIError(status: 405, message: "The method must be POST.") }
        return access.answer(Array(request.body.readableBytesView), now: request.context.now)
    }

    /// By a token of Login with Amazon, or by a signature of the account itself (the command line's).
    private func isAuthorized(_ request: DoorRequest) -> Bool {
        let authorization = request.head.header("authorization")
        // In the header: a signature in the query any web page could send.
        if authorization != nil, request.isSigned, case .account = request.context.principal { return true }
        guard let header = authorization, header.lowercased().hasPrefix("bearer ") else {
            return false
        }
        return access.tokens.isValid(String(header.dropFirst("bearer ".count)), now: request.context.now)
    }

    /// The chain behind `SignatureCertChainUrl`, and the root alone: nothing in them is secret.
    private func certificate(_ file: String) async throws -> APIAnswer {
        let signer = try await signer.signer()
        let text = file == signer.name + ".pem" ? signer.chain : file == "martlet-root.pem" ? signer.root : nil
        guard let text else { throw APIError.notFound(APIError.shown(file)) }
        return APIAnswer(status: 200, body: nil, headers: [], text: text)
    }

    private func route(_ call: APIRequest) async throws -> APIAnswer {
        let path = call.path
        switch (call.method, path.count) {
        case ("GET", 2) where path == ["v1", "vendors"]: return skills.vendors()
        case ("GET", 2) where path == ["v1", "skills"]: return try await skills.list(call)
        case ("POST", 2) where path == ["v1", "skills"]: return try await skills.create(call)
        default: break
        }
        guard path.count >= 3, path[0] == "v1" || path[0] == "v2", path[1] == "skills" else {
            throw APIError.notFound("\(call.method) /" + path.joined(separator: "/").prefix(200))
        }
        let id = path[2]
        let rest = Array(path[3...])
        if path[0] == "v1", rest.isEmpty, call.method == "DELETE" { return try await skills.delete(id) }
        if path[0] == "v1", rest == ["status"], call.method == "GET" { return try await skills.status(id, call) }
        if let answer = try await talks.route(id, rest, call, version: path[0] == "v2" ? 2 : 1) { return answer }
        guard path[0] == "v1", rest.count >= 2, rest[0] == "stages" else { throw Self.unknown(call) }
        guard rest[1] == "development" else {
            if rest[1] == "live" || rest[1] == "certification" {
                throw APIError.notFound("the skill has no stage \(rest[1]): Martlet does not publish skills.")
            }
            throw APIError.bad("The stage must be development.")
        }
        let tail = Array(rest[2...])
        if let answer = try await skills.route(id, tail, call) { return answer }
        if let answer = try await models.route(id, tail, call) { return answer }
        throw Self.unknown(call)
    }

    private static func unknown(_ call: APIRequest) -> APIError {
        APIError.notImplemented("\(call.method) /" + call.path.joined(separator: "/").prefix(200))
    }
}
