import Platform

/// Why a skill did not answer a request as it must.
enum SkillFailure: Error, Sendable, Hashable {
    /// Alexa did not find out what the utterance means; the skill was not asked.
    case notUnderstood(String)
    /// The function does not let the skill in.
    case notPermitted(String)
    /// The function is not there, or not now; the endpoint does not answer.
    case unreachable(String)
    case timedOut
    /// The function failed, or the endpoint answered another status than 200.
    case failed(String)
    case invalidResponse(String)

    var code: String {
        switch self {
        case .notUnderstood: "UTTERANCE_NOT_UNDERSTOOD"
        case .notPermitted: "SKILL_ENDPOINT_ACCESS_DENIED"
        case .unreachable: "SKILL_ENDPOINT_UNREACHABLE"
        case .timedOut: "ENDPOINT_TIMEOUT"
        case .failed: "SKILL_ENDPOINT_ERROR"
        case .invalidResponse: "INVALID_RESPONSE"
        }
    }

    var message: String {
        switch self {
        case .notUnderstood(let text), .notPermitted(let text), .unreachable(let text), .invalidResponse(let text): text
        case .timedOut: "The skill did not answer within \(Limits.responseTime.components.seconds) seconds."
        case .failed(let text): "An exception occurred while dispatching the request to the skill. \(text)"
        }
    }

    /// What Alexa says.
    var speech: String {
        switch self {
        case .notUnderstood: "Sorry, I don't know that one."
        case .notPermitted, .unreachable: "There was a problem with the requested skill."
        case .timedOut: "The requested skill took too long to respond."
        case .failed, .invalidResponse: "There was a problem with the requested skill's response."
        }
    }

    /// Whether the skill gets a SessionEndedRequest: not one that cannot be asked.
    var tellsSkill: Bool {
        switch self {
        case .notUnderstood, .notPermitted, .unreachable: false
        case .timedOut, .failed, .invalidResponse: true
        }
    }

    /// `error` of a SessionEndedRequest ("Request Types Reference").
    var requestError: Value {
        let type = self == .timedOut ? "ENDPOINT_TIMEOUT" : "INVALID_RESPONSE"
        let text =
            switch self {
            case .timedOut, .failed: "An exception occurred while dispatching the request to the skill."
            default: message
            }
        return ["type": .string(type), "message": .string(text)]
    }

    var value: Value { ["code": .string(code), "message": .string(message)] }
}
