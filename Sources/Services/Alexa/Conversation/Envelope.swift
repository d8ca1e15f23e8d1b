import Platform

/// What Alexa sends a custom skill ("Request and Response JSON Reference").
struct Envelope: Sendable {
    var skillID: String
    var userID: String
    var deviceID: String
    var locale: String
    var apiEndpoint: String
    /// Names of the manifest: AUDIO_PLAYER, ALEXA_PRESENTATION_APL, ….
    var interfaces: Set<String>
    /// Of a linked account; nil when the user has linked none.
    var accessToken: String?

    func body(
        _ request: Conversation.Request, _ session: Session, isNew: Bool, now: Instant, requestID: String
    ) -> Value {
        let application: Value = ["applicationId": .string(skillID)]
        var user: Fields = ["userId": .string(userID)]
        if let accessToken { user["accessToken"] = .string(accessToken) }
        return [
            "version": "1.0",
            "session": [
                "new": .bool(isNew), "sessionId": .string(session.id), "application": application,
                "attributes": .map(session.attributes), "user": .map(user),
            ],
            "context": context(application, .map(user)),
            "request": .map(document(request, now: now, requestID: requestID)),
        ]
    }

    private func context(_ application: Value, _ user: Value) -> Value {
        var supported = Fields()
        if interfaces.contains("AUDIO_PLAYER") { supported.append("AudioPlayer", [:]) }
        if interfaces.contains("ALEXA_PRESENTATION_APL") {
            supported.append("Alexa.Presentation.APL", ["runtime": ["maxVersion": "2024.3"]])
        }
        if interfaces.contains("VIDEO_APP") { supported.append("VideoApp", [:]) }
        var context: Fields = [
            "System": [
                "application": application, "user": user,
                "device": ["deviceId": .string(deviceID), "supportedInterfaces": .map(supported)],
                "apiEndpoint": .string(apiEndpoint), "apiAccessToken": "not-issued-by-martlet",
            ]
        ]
        if interfaces.contains("AUDIO_PLAYER") { context["AudioPlayer"] = ["playerActivity": "IDLE"] }
        if interfaces.contains("ALEXA_PRESENTATION_APL") {
            context["Viewport"] = [
                "experiences": [["canRotate": false, "canResize": false]], "mode": "HUB", "shape": "RECTANGLE",
                "pixelHeight": 600, "pixelWidth": 1024, "dpi": 160, "currentPixelHeight": 600,
                "currentPixelWidth": 1024, "touch": ["SINGLE"],
            ]
        }
        return .map(context)
    }

    private func document(_ request: Conversation.Request, now: Instant, requestID: String) -> Fields {
        var document: Fields = [
            "requestId": .string(requestID), "locale": .string(locale), "timestamp": .string(now.iso8601()),
        ]
        switch request {
        case .launch:
            document["type"] = "LaunchRequest"
            document["shouldLinkResultBeReturned"] = false
        case .intent(let intent, let dialogState):
            document["type"] = "IntentRequest"
            document["intent"] = .map(intent.fields)
            if let dialogState { document["dialogState"] = .string(dialogState) }
        case .ended(let reason, let error):
            document["type"] = "SessionEndedRequest"
            document["reason"] = .string(reason)
            if let error { document["error"] = error.requestError }
        }
        return document
    }
}
