import Contracts
import NIOCore
import Platform

/// An answer of the Skill Management API.
struct APIAnswer: Sendable {
    var status: Int
    var body: Value?
    var headers: [(name: String, value: String)] = []
    /// PEM, in place of a body.
    var text: String?

    var door: DoorResponse {
        if let text {
            return DoorResponse(
                status: status, headers: [(name: "Content-Type", value: "application/x-pem-file")] + headers,
                payload: .bytes(ByteBuffer(string: text)))
        }
        guard let body else { return DoorResponse(status: status, headers: headers, payload: .none) }
        return DoorResponse(
            status: status, headers: [(name: "Content-Type", value: "application/json")] + headers,
            payload: .bytes(ByteBuffer(bytes: JSON.encode(body))))
    }
}

/// An error of the Skill Management API: `{"message": …}`, with 400 also `violations`.
struct APIError: Error, Sendable {
    var status: Int
    var message: String
    var violations: [Problem] = []

    var answer: APIAnswer {
        var body: Fields = ["message": .string(message)]
        if !violations.isEmpty { body["violations"] = .list(violations.map(\.value)) }
        return APIAnswer(status: status, body: .map(body))
    }

    static func bad(_ message: String, _ violations: [Problem] = []) -> APIError {
        APIError(status: 400, message: message, violations: violations)
    }
    static let unauthorized = APIError(
        status: 401,
        message: "Token is invalid/expired. Get an access token from Login with Amazon's token endpoint of this server."
    )
    static func noSkill(_ id: String) -> APIError {
        APIError(status: 404, message: "Resource not found: there is no skill \(shown(id)).")
    }
    static func notFound(_ what: String) -> APIError { APIError(status: 404, message: "Resource not found: \(what)") }
    static func notImplemented(_ what: String) -> APIError {
        APIError(status: 501, message: "\(what) is not implemented by Martlet yet.")
    }

    /// What a client has sent, fit for an error text.
    static func shown(_ text: String) -> String {
        "'" + String(text.unicodeScalars.filter { (0x20...0x7E).contains($0.value) }.prefix(100).map(Character.init))
            + "'"
    }
}
